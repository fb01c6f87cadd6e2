internal import CLinux

/// Settings of glibc's allocator, so that memory which evicted chunks have freed goes back to the system.
///
/// Chunks come and go on several threads, and glibc gives each an arena of its own that keeps freed chunks: 573 MB were
/// seen where 256 MiB of chunks were held, and 300 to 350 with two arenas. Mapping each chunk by itself is exact, but
/// costs up to a third of the throughput of reads from the store, in page faults and contention for the address space.
package enum Allocator {
    /// Keeps the allocator from setting aside 64 MiB of address space for each thread, after which there may be none
    /// for the stacks of others. To be called before the threads start.
    package static func limitArenas() {
        mallopt(M_ARENA_MAX, 2)
    }

    /// Has each block of a chunk's size mapped by itself, so that what is freed goes back at once and memory is exact,
    /// at a fifth more processor time for each chunk that is opened. To be called before the threads start.
    package static func mapLargeBlocks() {
        mallopt(M_MMAP_THRESHOLD, 128 << 10)
    }

    /// Gives free pages back to the system. Some milliseconds, during which others may wait to allocate.
    package static func returnFreePages() {
        malloc_trim(0)
    }
}
