internal import NIOConcurrencyHelpers
internal import NIOCore

/// A weighted semaphore for tasks: a bounded weight of work is under way at once, more waits in order of arrival in a
/// queue that is bounded too. Those who go first have a queue of their own before it.
///
/// The weight is what the owner counts: requests, or bytes in flight. Nothing here blocks a thread.
package final class AsyncLimiter: Sendable {
    private struct Waiter {
        let number: UInt64
        let weight: Int
        let isFirst: Bool
        let continuation: CheckedContinuation<Bool, any Error>
    }

    private struct State {
        var free: Int
        var capacity: Int
        var nextNumber: UInt64 = 0
        var waiters = CircularBuffer<Waiter>()
        /// Numbers whose task was cancelled before it was in the queue.
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
        state = NIOLockedValueBox(State(free: max(capacity, 1), capacity: max(capacity, 1)))
    }

    /// How many wait now.
    package var waiting: Int { state.withLockedValue { $0.waiters.count } }

    /// Changes how much may be under way, from now on: what is under way already goes on. For work whose weight is 1.
    package func resize(_ capacity: Int) {
        let ready = state.withLockedValue { state in
            state.free += max(capacity, 1) - state.capacity
            state.capacity = max(capacity, 1)
            return Self.takeReady(&state)
        }
        for waiter in ready { waiter.continuation.resume(returning: true) }
    }

    /// Runs `body` once there is room for `weight` (one heavier than the whole capacity runs alone).
    package func withPermit<T>(
        weight: Int = 1, isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> T
    ) async throws -> T {
        try await acquire(weight: weight)
        defer { release(weight: weight) }
        return try await body()
    }

    /// Takes room if there is some and no caller waits for it; false if not. Room is given back with `release` of the
    /// same weight.
    package func acquireNow(weight: Int = 1) -> Bool {
        let weight = min(weight, capacity)
        return state.withLockedValue { state in
            guard state.waiters.isEmpty, state.free >= weight else { return false }
            state.free -= weight
            return true
        }
    }

    /// Waits for room, which is given back with `release` of the same weight.
    /// - Parameter goesFirst: whether to wait before all that do not go first, for as long as there are such callers.
    package func acquire(weight: Int = 1, goesFirst: Bool = false) async throws {
        _ = try await wait(weight, goesFirst: goesFirst, nil, nil)
    }

    /// Waits for room, but no longer than `duration`; whether there was some.
    /// - Parameter goesFirst: as above.
    package func acquire(
        weight: Int = 1, goesFirst: Bool = false, within duration: Duration, _ deadlines: Deadlines
    ) async throws -> Bool {
        try await wait(weight, goesFirst: goesFirst, duration, deadlines)
    }

    private func wait(
        _ weight: Int, goesFirst: Bool, _ duration: Duration?, _ deadlines: Deadlines?
    ) async throws -> Bool {
        let weight = min(weight, capacity)
        let number = state.withLockedValue { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        // A cancellation that came after the permit was given, or refused, leaves its number behind.
        defer { _ = state.withLockedValue { $0.cancelled.remove(number) } }
        let alarm = NIOLockedValueBox<Deadlines.Alarm?>(nil)
        defer { if let set = alarm.withLockedValue({ $0 }) { deadlines?.cancel(set) } }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Bool, any Error>) in
                let outcome: Result<Bool, any Error>? = state.withLockedValue { state in
                    if state.cancelled.remove(number) != nil { return .failure(CancellationError()) }
                    let isNext = goesFirst ? state.waiters.first?.isFirst != true : state.waiters.isEmpty
                    if isNext && state.free >= weight {
                        state.free -= weight
                        return .success(true)
                    }
                    if state.waiters.count >= maximumWaiters {
                        return .failure(
                            CacheError(.overloaded, "too many \(name) are waiting already: try again later"))
                    }
                    let place = goesFirst ? state.waiters.firstIndex { !$0.isFirst } : nil
                    state.waiters.insert(
                        Waiter(number: number, weight: weight, isFirst: goesFirst, continuation: continuation),
                        at: place ?? state.waiters.endIndex)
                    return nil
                }
                if let outcome { return continuation.resume(with: outcome) }
                guard let duration, let deadlines else { return }
                let set = deadlines.after(duration) { self.giveUp(number) }
                alarm.withLockedValue { $0 = set }
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
        for waiter in ready { waiter.continuation.resume(returning: true) }
    }

    private func cancel(_ number: UInt64) {
        leave(number, remembering: true) { $0.resume(throwing: CancellationError()) }
    }

    /// Ends a wait whose time is over; one that has just been given its permit keeps it.
    private func giveUp(_ number: UInt64) {
        leave(number, remembering: false) { $0.resume(returning: false) }
    }

    /// - Parameter remembering: whether a caller that is not in the queue yet is to find its cancellation when it gets
    ///   there.
    private func leave(
        _ number: UInt64, remembering: Bool, _ resume: (CheckedContinuation<Bool, any Error>) -> Void
    ) {
        let (left, ready) = state.withLockedValue { state -> (Waiter?, [Waiter]) in
            guard let index = state.waiters.firstIndex(where: { $0.number == number }) else {
                if remembering { state.cancelled.insert(number) }
                return (nil, [])
            }
            let waiter = state.waiters.remove(at: index)
            return (waiter, Self.takeReady(&state))
        }
        if let left { resume(left.continuation) }
        for waiter in ready { waiter.continuation.resume(returning: true) }
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
