internal import NIOConcurrencyHelpers
internal import NIOCore

/// Lets a bounded weight of work be under way at once; more waits in order of arrival, in a queue that is bounded as well.
///
/// The weight is whatever the owner counts: requests, or bytes in flight. Nothing here blocks a thread.
package final class AsyncLimiter: Sendable {
    private struct Waiter {
        let number: UInt64
        let weight: Int
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var free: Int
        var nextNumber: UInt64 = 0
        var waiters = CircularBuffer<Waiter>()
        /// Numbers whose task was cancelled before it stood in line.
        var cancelled: Set<UInt64> = []
    }

    private let state: NIOLockedValueBox<State>
    private let capacity: Int
    private let maximumWaiters: Int
    private let name: String

    /// - Parameters:
    ///   - name: what is limited, for the error, e.g. `"L3 reads"`.
    ///   - capacity: the weight that may be under way.
    ///   - maximumWaiters: how many may wait; one more is refused with `.overloaded`.
    package init(_ name: String, capacity: Int, maximumWaiters: Int) {
        self.name = name
        self.capacity = max(capacity, 1)
        self.maximumWaiters = maximumWaiters
        state = NIOLockedValueBox(State(free: max(capacity, 1)))
    }

    /// How many wait now.
    package var waiting: Int { state.withLockedValue { $0.waiters.count } }

    /// Runs `body` once there is room for `weight` (one heavier than the whole capacity runs alone).
    package func withPermit<T>(
        weight: Int = 1, isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> T
    ) async throws -> T {
        try await acquire(weight: weight)
        defer { release(weight: weight) }
        return try await body()
    }

    /// Takes room if there is some and nobody waits for it; whoever got it gives it back with `release` of the same weight.
    package func acquireNow(weight: Int = 1) -> Bool {
        let weight = min(weight, capacity)
        return state.withLockedValue { state in
            guard state.waiters.isEmpty, state.free >= weight else { return false }
            state.free -= weight
            return true
        }
    }

    /// Waits for room; whoever got it gives it back with `release` of the same weight.
    package func acquire(weight: Int = 1) async throws {
        let weight = min(weight, capacity)
        let number = state.withLockedValue { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        // A cancellation that came after the permit was given, or refused, leaves its number behind.
        defer { _ = state.withLockedValue { $0.cancelled.remove(number) } }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let outcome: Result<Void, any Error>? = state.withLockedValue { state in
                    if state.cancelled.remove(number) != nil { return .failure(CancellationError()) }
                    if state.waiters.isEmpty && state.free >= weight {
                        state.free -= weight
                        return .success(())
                    }
                    if state.waiters.count >= maximumWaiters {
                        return .failure(
                            CacheError(.overloaded, "too many \(name) are waiting already: try again later"))
                    }
                    state.waiters.append(Waiter(number: number, weight: weight, continuation: continuation))
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            cancel(number)
        }
    }

    package func release(weight: Int = 1) {
        let weight = min(weight, capacity)
        let ready = state.withLockedValue { state in
            state.free += weight
            return Self.takeReady(&state)
        }
        for waiter in ready { waiter.continuation.resume() }
    }

    private func cancel(_ number: UInt64) {
        let (cancelled, ready) = state.withLockedValue { state -> (Waiter?, [Waiter]) in
            guard let index = state.waiters.firstIndex(where: { $0.number == number }) else {
                state.cancelled.insert(number)
                return (nil, [])
            }
            let waiter = state.waiters.remove(at: index)
            return (waiter, Self.takeReady(&state))
        }
        cancelled?.continuation.resume(throwing: CancellationError())
        for waiter in ready { waiter.continuation.resume() }
    }

    private static func takeReady(_ state: inout State) -> [Waiter] {
        var ready: [Waiter] = []
        while let first = state.waiters.first, state.free >= first.weight {
            state.free -= first.weight
            ready.append(state.waiters.removeFirst())
        }
        return ready
    }
}
