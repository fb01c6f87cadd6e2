package import NIOCore

/// The clock that the daemon's deadlines go by: the system's monotonic one, or one that a test moves by hand.
package struct ServerTime: Sendable {
    package let now: @Sendable () -> NIODeadline
    /// How often deadlines are looked at, by the system's clock; `nil` for ``ServerLimits/tick``.
    package let tick: TimeAmount?

    package init(tick: TimeAmount? = nil, now: @escaping @Sendable () -> NIODeadline) {
        self.tick = tick
        self.now = now
    }

    package static let system = ServerTime { .now() }
}
