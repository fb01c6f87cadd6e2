internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// One flight a chunk, however many ask for it at the same time.
///
/// A flight belongs to all who wait for it: it goes on when one of them gives up, who returns at once, and is cancelled when the last one
/// does. Its outcome, error or not, goes to those who wait and to nobody after them.
final class ChunkFlights: Sendable {
    /// What the tiers are asked for: two refs that differ in anything are two flights, so a manifest that lies fails alone.
    struct Key: Hashable, Sendable {
        let ref: ChunkRef
        let generation: Generation
    }

    private struct Flight {
        let number: UInt64
        let task: Task<Void, Never>
        var waiters: [UInt64: CheckedContinuation<ByteBuffer, any Error>]
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

    /// Waits for the flight of `key`; starts one with `fetch` if there is none.
    /// - Returns: the bytes, and whether this call started the flight.
    func join(
        _ key: Key, _ fetch: @escaping @Sendable () async throws -> ByteBuffer
    ) async throws -> (bytes: ByteBuffer, isLeader: Bool) {
        let waiter = state.withLockedValue { $0.takeNumber() }
        defer { _ = state.withLockedValue { $0.cancelled.remove(waiter) } }
        var isLeader = false
        let bytes = try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                isLeader = enter(key, waiter, continuation, fetch)
            }
        } onCancel: {
            leave(key, waiter)
        }
        return (bytes, isLeader)
    }

    /// Whether a flight was started.
    private func enter(
        _ key: Key, _ waiter: UInt64, _ continuation: CheckedContinuation<ByteBuffer, any Error>,
        _ fetch: @escaping @Sendable () async throws -> ByteBuffer
    ) -> Bool {
        enum Entry { case cancelled, joined, started }
        let entry = state.withLockedValue { state -> Entry in
            if state.cancelled.remove(waiter) != nil { return .cancelled }
            if state.flights[key] != nil {
                state.flights[key]?.waiters[waiter] = continuation
                return .joined
            }
            let number = state.takeNumber()
            let task = Task {
                let result: Result<ByteBuffer, any Error>
                do { result = .success(try await fetch()) } catch { result = .failure(error) }
                self.land(key, number, result)
            }
            state.flights[key] = Flight(number: number, task: task, waiters: [waiter: continuation])
            return .started
        }
        if entry == .cancelled { continuation.resume(throwing: CancellationError()) }
        return entry == .started
    }

    private func land(_ key: Key, _ number: UInt64, _ result: Result<ByteBuffer, any Error>) {
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
                return (nil, nil) as (CheckedContinuation<ByteBuffer, any Error>?, Task<Void, Never>?)
            }
            guard let flight = state.flights[key], flight.waiters.isEmpty else { return (continuation, nil) }
            state.flights[key] = nil
            return (continuation, flight.task)
        }
        task?.cancel()
        continuation?.resume(throwing: CancellationError())
    }
}
