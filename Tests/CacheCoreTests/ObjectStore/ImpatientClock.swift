import NIOConcurrencyHelpers

/// A clock on which every sleep is over at once, and which then stands where that sleep would have ended. Keeps how
/// long they were.
final class ImpatientClock: Clock {
    struct Instant: InstantProtocol {
        var offset: Duration

        func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        func duration(to other: Instant) -> Duration { other.offset - offset }
        static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    private let state = NIOLockedValueBox((now: Instant(offset: .zero), waits: [Duration]()))

    var now: Instant { state.withLockedValue { $0.now } }
    var minimumResolution: Duration { .nanoseconds(1) }
    /// How long the sleeps so far were.
    var waits: [Duration] { state.withLockedValue { $0.waits } }

    func advance(by duration: Duration) { state.withLockedValue { $0.now = $0.now.advanced(by: duration) } }

    func sleep(until wake: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        state.withLockedValue { state in
            state.waits.append(state.now.duration(to: wake))
            state.now = max(state.now, wake)
        }
        await Task.yield()
    }
}
