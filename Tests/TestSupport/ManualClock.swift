import NIOConcurrencyHelpers

/// A clock that stands still unless a test moves it, so that no machine is too slow for a deadline. A task that sleeps
/// by it wakes when the clock has come that far.
package final class ManualClock: Clock {
    package struct Instant: InstantProtocol {
        package var offset: Duration

        package func advanced(by duration: Duration) -> Instant { Instant(offset: offset + duration) }
        package func duration(to other: Instant) -> Duration { other.offset - offset }
        package static func < (left: Instant, right: Instant) -> Bool { left.offset < right.offset }
    }

    private struct State {
        var now = Instant(offset: .zero)
        var nextNumber = 0
        var sleepers: [Int: (wake: Instant, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var cancelled: Set<Int> = []
    }

    private let state = NIOLockedValueBox(State())

    package init() {}

    package var now: Instant { state.withLockedValue { $0.now } }
    package var minimumResolution: Duration { .nanoseconds(1) }

    package func sleep(until wake: Instant, tolerance: Duration?) async throws {
        let number = state.withLockedValue { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let result = state.withLockedValue { state -> Result<Void, any Error>? in
                    if state.cancelled.remove(number) != nil { return .failure(CancellationError()) }
                    if state.now >= wake { return .success(()) }
                    state.sleepers[number] = (wake, continuation)
                    return nil
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            let sleeper = state.withLockedValue { state in
                let sleeper = state.sleepers.removeValue(forKey: number)
                if sleeper == nil { state.cancelled.insert(number) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    package func advance(by duration: Duration) {
        let woken = state.withLockedValue { state in
            state.now = state.now.advanced(by: duration)
            let woken = state.sleepers.filter { $0.value.wake <= state.now }
            for number in woken.keys { state.sleepers[number] = nil }
            return woken.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume() }
    }

    /// Lets time pass for as long as `body` runs, far faster than it does: what waits for a deadline meets it, however
    /// slow the machine is.
    package func passing<R: Sendable>(_ body: () async throws -> R) async throws -> R {
        let passing = Task {
            while !Task.isCancelled {
                advance(by: .milliseconds(20))
                await Task.yield()
            }
        }
        defer { passing.cancel() }
        return try await body()
    }
}
