internal import Synchronization

/// The state that all event loops and the control plane share.
final class ServerState: Sendable {
    /// Connections that are open now, over all event loops.
    let openConnections = Atomic<Int>(0)
    /// Those of them that are beyond the limit: probe-only ones.
    let probeConnections = Atomic<Int>(0)
    /// Workers that have connections, as far as they say who they are.
    let workers = Atomic<Int>(0)
    /// Whether a connection has come lately for which there was no free place.
    let isCrowded = Atomic<Bool>(false)
    /// Whether requests are welcome: the store is open, and the daemon has not been told to stop.
    let isReady = Atomic<Bool>(false)
}
