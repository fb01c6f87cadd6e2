internal import CacheCore
internal import NIOConcurrencyHelpers

/// Demand goes first: what is fetched ahead waits here while a read that somebody waits for is under way below L1.
final class DemandGate: Sendable {
    private struct State {
        var underWay = 0
        var nextNumber: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = NIOLockedValueBox(State())

    /// A read that somebody waits for begins.
    func enter() { state.withLockedValue { $0.underWay += 1 } }

    func leave() {
        let waiting = state.withLockedValue { state -> [CheckedContinuation<Void, Never>] in
            state.underWay -= 1
            guard state.underWay == 0 else { return [] }
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume() }
    }

    /// How many stand back now.
    var standingBack: Int { state.withLockedValue { $0.waiting.count } }

    /// Returns once no such read is under way, or after `patience`: a tier that hangs must not hold up what could come
    /// from another.
    func standBack(within patience: Duration, _ deadlines: Deadlines) async {
        let number = state.withLockedValue { state -> UInt64? in
            guard state.underWay > 0 else { return nil }
            state.nextNumber += 1
            return state.nextNumber
        }
        guard let number else { return }
        let alarm = NIOLockedValueBox<Deadlines.Alarm?>(nil)
        defer { if let set = alarm.withLockedValue({ $0 }) { deadlines.cancel(set) } }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLockedValue { state in
                    guard state.underWay > 0, !Task.isCancelled else { return false }
                    state.waiting[number] = continuation
                    return true
                }
                guard waits else { return continuation.resume() }
                let set = deadlines.after(patience) { self.wake(number) }
                alarm.withLockedValue { $0 = set }
            }
        } onCancel: {
            wake(number)
        }
    }

    private func wake(_ number: UInt64) {
        state.withLockedValue { $0.waiting.removeValue(forKey: number) }?.resume()
    }
}
