internal import Synchronization

/// The little that all event loops and the control plane share.
final class ServerState: Sendable {
    /// Connections that are open now, over all event loops.
    let openConnections = Atomic<Int>(0)
    /// Those of them that are beyond the limit.
    let guests = Atomic<Int>(0)
    /// Whether requests are welcome: the store is open, and nobody has told the daemon to stop.
    let isReady = Atomic<Bool>(false)
}
