internal import Glibc

/// Keeps glibc's allocator from holding on to what the memory tier has let go of.
///
/// Chunks come and go on several threads, and glibc gives each an arena of its own that keeps freed chunks: 573 MB were seen where
/// 256 MiB of chunks were held, and 300 to 350 with two arenas. Mapping each chunk by itself is exact, but costs
/// up to a third of the throughput of reads from the store, in page faults and contention for the address space.
///
/// The two functions are glibc's own, outside its Swift module; where the C library has them not, nothing happens.
enum Allocator {
    private typealias SetOption = @convention(c) (Int32, Int32) -> Int32
    private typealias Trim = @convention(c) (Int) -> Int32

    /// `M_ARENA_MAX` of malloc.h.
    private static let arenaMaximum: Int32 = -8
    private static let trim = symbol("malloc_trim").map { unsafeBitCast($0, to: Trim.self) }

    private static func symbol(_ name: String) -> UnsafeMutableRawPointer? {
        dlsym(dlopen(nil, RTLD_NOW), name)
    }

    /// Bounds the arenas; to be called before the threads start.
    static func limitArenas() {
        guard let function = symbol("mallopt") else { return }
        _ = unsafeBitCast(function, to: SetOption.self)(arenaMaximum, 2)
    }

    /// Gives free pages back to the system. Some milliseconds, during which others may wait to allocate.
    static func returnFreePages() {
        _ = trim?(0)
    }
}
