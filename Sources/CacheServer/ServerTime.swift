package import NIOCore

/// Where the daemon's deadlines take the present from: the system's monotonic clock, or one that a test moves by hand.
package struct ServerTime: Sendable {
    package let now: @Sendable () -> NIODeadline

    package init(now: @escaping @Sendable () -> NIODeadline) {
        self.now = now
    }

    package static let system = ServerTime { .now() }
}
