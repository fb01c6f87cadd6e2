internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// What several operations report, in the order in which they end, for one reader who may leave before all have.
final class Arrivals<Element: Sendable>: Sendable {
    private struct State {
        var waiting = CircularBuffer<Element>(initialCapacity: 2)
        var reader: CheckedContinuation<Element?, any Error>?
        /// Who waits, so that an alarm of an earlier wait ends no later one.
        var turn = 0
        /// The last wait whose time was over before it stood here.
        var overdue = 0
        var isCancelled = false
        var hasLeft = false
    }

    private enum Step {
        case now(Element?)
        case cancelled
        case wait
    }

    private let state = NIOLockedValueBox(State())

    /// Hands an element over; false if the reader has left.
    func add(_ element: Element) -> Bool {
        let (reader, isTaken) = state.withLockedValue { state -> (CheckedContinuation<Element?, any Error>?, Bool) in
            if state.hasLeft { return (nil, false) }
            if let reader = state.reader.take() { return (reader, true) }
            state.waiting.append(element)
            return (nil, true)
        }
        reader?.resume(returning: element)
        return isTaken
    }

    /// Waits for the next element; `nil` if there was none within `duration`. Throws only if the task is cancelled.
    func next(within duration: Duration? = nil, _ deadlines: Deadlines) async throws -> Element? {
        let turn = state.withLockedValue { state in
            state.turn += 1
            return state.turn
        }
        let alarm = duration.map { deadlines.after($0) { self.expire(turn) } }
        defer { if let alarm { deadlines.cancel(alarm) } }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let step = state.withLockedValue { state -> Step in
                    if state.isCancelled { return .cancelled }
                    if let element = state.waiting.popFirst() { return .now(element) }
                    if state.overdue == turn { return .now(nil) }
                    state.reader = continuation
                    return .wait
                }
                switch step {
                case .now(let element): continuation.resume(returning: element)
                case .cancelled: continuation.resume(throwing: CancellationError())
                case .wait: break
                }
            }
        } onCancel: {
            let reader = state.withLockedValue { state in
                state.isCancelled = true
                return state.reader.take()
            }
            reader?.resume(throwing: CancellationError())
        }
    }

    /// The reader wants no more: what it did not take, and nothing that comes later is taken.
    func leave() -> [Element] {
        state.withLockedValue { state in
            state.hasLeft = true
            defer { state.waiting.removeAll() }
            return Array(state.waiting)
        }
    }

    private func expire(_ turn: Int) {
        let reader = state.withLockedValue { state -> CheckedContinuation<Element?, any Error>? in
            guard state.turn == turn else { return nil }
            state.overdue = turn
            return state.reader.take()
        }
        reader?.resume(returning: nil)
    }
}
