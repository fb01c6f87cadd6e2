internal import CacheBase
internal import Glibc

/// How a thread waits for what the system does not announce or not within a deadline: it looks again and again, with
/// pauses that grow from 0.5 to 20 ms, until its time is over or its task is cancelled.
package struct BlockingWait: Sendable {
    private let now: @Sendable () -> ContinuousClock.Instant
    private let pause: @Sendable (_ microseconds: UInt32) -> Void

    private static let shortest: UInt32 = 500
    private static let longest: UInt32 = 20_000

    /// The system's clock and its sleep.
    package static let system = BlockingWait(now: { .now }, pause: sleep)

    /// Puts the thread to sleep.
    package static func sleep(microseconds: UInt32) { usleep(microseconds) }

    package init(
        now: @escaping @Sendable () -> ContinuousClock.Instant,
        pause: @escaping @Sendable (_ microseconds: UInt32) -> Void
    ) {
        self.now = now
        self.pause = pause
    }

    /// The first value that `attempt` gives, which is asked at least once; `nil` if there is none within `patience`
    /// (`nil`: for ever).
    ///
    /// - Throws: what `attempt` throws; `CancellationError` as soon as ``Cancellation/isRequested``.
    package func first<Value>(within patience: Duration?, _ attempt: () throws -> Value?) throws -> Value? {
        var deadline: ContinuousClock.Instant?
        var length = Self.shortest
        while true {
            if let value = try attempt() { return value }
            try Cancellation.check()
            let time = now()
            if let patience {
                let end = deadline ?? time + patience
                if time >= end { return nil }
                deadline = end
            }
            pause(length)
            length = min(length * 2, Self.longest)
        }
    }
}
