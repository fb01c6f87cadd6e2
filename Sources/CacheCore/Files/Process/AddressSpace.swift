internal import CLinux
internal import Glibc

/// Where the process may have only so much address space.
package enum AddressSpace {
    /// Whether there is a limit.
    package static var isLimited: Bool {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 && limit.rlim_cur != rlim_t.max
    }

    /// Keeps the allocator from setting aside 64 MiB for each thread, after which there is none for the stacks of others. Only before there
    /// are threads.
    package static func useFewArenas() {
        _ = mallopt(M_ARENA_MAX, 2)
    }
}
