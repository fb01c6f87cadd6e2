package import NIOCore

/// Where the daemon's deadlines take the present from: the system's monotonic clock, or one that a test moves by hand.
package struct ServerTime: Sendable {
    package let now: @Sendable () -> NIODeadline
    /// How often deadlines are looked at, by the system's clock; `nil` leaves that to the limits.
    package let tick: TimeAmount?

    package init(tick: TimeAmount? = nil, now: @escaping @Sendable () -> NIODeadline) {
        self.tick = tick
        self.now = now
    }

    package static let system = ServerTime { .now() }
}
