internal import CLinux

/// Settings of glibc's allocator, so that memory which evicted chunks have freed goes back to the system.
///
/// Chunks come and go on several threads, and glibc gives each an arena of its own that keeps freed chunks: 573 MB were seen where
/// 256 MiB of chunks were held, and 300 to 350 with two arenas. Mapping each chunk by itself is exact, but costs
/// up to a third of the throughput of reads from the store, in page faults and contention for the address space.
enum Allocator {
    /// Bounds the arenas; to be called before the threads start.
    static func limitArenas() {
        mallopt(M_ARENA_MAX, 2)
    }

    /// Gives free pages back to the system. Takes some milliseconds, during which other threads may wait to allocate.
    static func returnFreePages() {
        malloc_trim(0)
    }
}
