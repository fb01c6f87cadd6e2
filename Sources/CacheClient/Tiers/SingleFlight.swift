internal import NIOConcurrencyHelpers

/// Single flight: one call for each key under way, however many ask for it at the same time.
///
/// A flight belongs to all who wait for it: it goes on when one of them gives up, who returns at once, and is cancelled
/// when the last one does. Its outcome, error or not, goes to those who wait; a later caller starts a new flight.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Flight {
        let number: UInt64
        let task: Task<Void, Never>
        var waiters: [UInt64: CheckedContinuation<Value, any Error>]
    }

    private struct State {
        var flights: [Key: Flight] = [:]
        var nextNumber: UInt64 = 0
        /// Waiters that were cancelled before they stood in line.
        var cancelled: Set<UInt64> = []

        mutating func takeNumber() -> UInt64 {
            nextNumber += 1
            return nextNumber
        }
    }

    private let state = NIOLockedValueBox(State())

    /// Whether a flight of `key` is under way.
    func isUnderWay(_ key: Key) -> Bool { state.withLockedValue { $0.flights[key] != nil } }

    /// Waits for the flight of `key`; starts one with `fetch` if there is none.
    /// - Returns: the outcome, and whether this call started the flight.
    func join(
        _ key: Key, _ fetch: @escaping @Sendable () async throws -> Value
    ) async throws -> (value: Value, isLeader: Bool) {
        let waiter = state.withLockedValue { $0.takeNumber() }
        defer { _ = state.withLockedValue { $0.cancelled.remove(waiter) } }
        var isLeader = false
        let value = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                isLeader = enter(key, waiter, continuation, fetch)
            }
        } onCancel: {
            leave(key, waiter)
        }
        return (value, isLeader)
    }

    private enum Entry { case cancelled, joined, started }

    /// Whether a flight was started.
    private func enter(
        _ key: Key, _ waiter: UInt64, _ continuation: CheckedContinuation<Value, any Error>,
        _ fetch: @escaping @Sendable () async throws -> Value
    ) -> Bool {
        let entry = state.withLockedValue { state -> Entry in
            if state.cancelled.remove(waiter) != nil { return .cancelled }
            if state.flights[key] != nil {
                state.flights[key]?.waiters[waiter] = continuation
                return .joined
            }
            let number = state.takeNumber()
            let task = Task {
                let result: Result<Value, any Error>
                do { result = .success(try await fetch()) } catch { result = .failure(error) }
                self.land(key, number, result)
            }
            state.flights[key] = Flight(number: number, task: task, waiters: [waiter: continuation])
            return .started
        }
        if entry == .cancelled { continuation.resume(throwing: CancellationError()) }
        return entry == .started
    }

    private func land(_ key: Key, _ number: UInt64, _ result: Result<Value, any Error>) {
        let flight = state.withLockedValue { state -> Flight? in
            // All may have left, and others have started anew.
            guard state.flights[key]?.number == number else { return nil }
            return state.flights.removeValue(forKey: key)
        }
        guard let flight else { return }
        for continuation in flight.waiters.values { continuation.resume(with: result) }
    }

    private func leave(_ key: Key, _ waiter: UInt64) {
        let (continuation, task) = state.withLockedValue { state in
            guard let continuation = state.flights[key]?.waiters.removeValue(forKey: waiter) else {
                state.cancelled.insert(waiter)
                return (nil, nil) as (CheckedContinuation<Value, any Error>?, Task<Void, Never>?)
            }
            guard let flight = state.flights[key], flight.waiters.isEmpty else { return (continuation, nil) }
            state.flights[key] = nil
            return (continuation, flight.task)
        }
        task?.cancel()
        continuation?.resume(throwing: CancellationError())
    }
}
