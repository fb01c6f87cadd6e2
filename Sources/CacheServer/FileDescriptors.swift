internal import CacheFiles
internal import Logging

/// The process's limit of open files, which every connection counts against.
enum FileDescriptors {
    /// What the store, the event loops and the log need beside the connections, with room to spare; and what they need at least.
    private static let others = 128
    private static let fewestOthers = 32

    /// Raises the soft limit as far as `limits` (connections, and guests beyond them) need and the hard limit lets it.
    ///
    /// - Returns: how many connections there can be: one more than the system has descriptors for could not even be accepted to be refused,
    ///   and would keep an event loop busy with trying.
    static func provide(for limits: ServerLimits, logger: Logger) -> Int {
        let needed = limits.connections + limits.guests + others
        guard let limit = ResourceLimit.openFiles.raise(to: needed), limit < needed else { return limits.connections }
        let available = limit - fewestOthers
        let connections = min(limits.connections, max(available - max(available / 8, 16), 1))
        logger.warning(
            "the limit of open files is too low for all connections: raise it (ulimit -n)",
            metadata: [
                "open files": "\(limit)", "needed": "\(needed)", "connections": "\(connections)",
                "wanted": "\(limits.connections)",
            ])
        return connections
    }
}
