internal import CacheFiles
internal import Logging

/// The process's limit of open files, which every connection counts against.
enum FileDescriptors {
    /// Descriptors that the store, the event loops and the log need beside the connections: with some to spare, and at
    /// least.
    private static let others = 128
    private static let fewestOthers = 32

    /// Raises the soft limit as far as `limits` (connections, and probe-only ones beyond them) need and the hard limit
    /// lets it.
    ///
    /// - Returns: how many connections there can be. A connection beyond the system's descriptors could not even be
    ///   accepted in order to refuse it, and would keep an event loop busy with trying.
    static func provide(for limits: ServerLimits, logger: Logger) -> Int {
        let needed = limits.connections + limits.probeConnections + others
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
