internal import Glibc

/// What the process may have of its machine, `getrlimit(2)`.
package struct ResourceLimit: Sendable {
    private let resource: __rlimit_resource_t

    private init(_ resource: __rlimit_resource) { self.resource = __rlimit_resource_t(resource.rawValue) }

    /// Bytes of address space, `ulimit -v`.
    package static let addressSpace = ResourceLimit(RLIMIT_AS)
    /// Bytes of memory of its own, `ulimit -d`.
    package static let data = ResourceLimit(RLIMIT_DATA)
    /// One more than the highest descriptor of an open file, `ulimit -n`.
    package static let openFiles = ResourceLimit(RLIMIT_NOFILE)

    /// The soft limit, which is the one that counts; `nil` if there is none, or if it cannot be told.
    package var soft: Int? {
        guard let limit = get(), limit.rlim_cur != rlim_t.max else { return nil }
        return Int(clamping: limit.rlim_cur)
    }

    /// Raises the soft limit as far as the hard one lets it, but to no more than `most`; leaves it as it is if that is
    /// not allowed.
    /// - Returns: the soft limit now; `nil` if it cannot be told.
    @discardableResult
    package func raise(to most: Int = .max) -> Int? {
        guard var limit = get() else { return nil }
        let before = limit.rlim_cur
        let wanted = most == .max ? limit.rlim_max : min(rlim_t(clamping: most), limit.rlim_max)
        guard before < wanted else { return Int(clamping: before) }
        limit.rlim_cur = wanted
        return Int(clamping: setrlimit(resource, &limit) == 0 ? wanted : before)
    }

    /// How many files the process may have open at the same time; a usual number where that cannot be told.
    package static var mostOpenFiles: Int { openFiles.get().map { Int(clamping: $0.rlim_cur) } ?? 1024 }

    private func get() -> rlimit? {
        var limit = rlimit()
        return getrlimit(resource, &limit) == 0 ? limit : nil
    }
}
