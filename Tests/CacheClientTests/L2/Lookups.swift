import CacheCore
import NIOConcurrencyHelpers

/// A resolver that answers what a test says.
final class Lookups: Sendable {
    private struct State {
        var answer: [String]?
        var count = 0
    }

    private let state: NIOLockedValueBox<State>
    private let gate = ConditionLock(value: 0)

    init(_ answer: [String]?) { state = NIOLockedValueBox(State(answer: answer)) }

    /// Lookups that have begun.
    var count: Int { state.withLockedValue { $0.count } }

    /// - Parameter answer: `nil` for a failure.
    func set(_ answer: [String]?) { state.withLockedValue { $0.answer = answer } }

    /// From now on lookups wait for ``letGo()``.
    func hang() {
        gate.lock()
        gate.unlock(withValue: 1)
    }

    func letGo() {
        gate.lock()
        gate.unlock(withValue: 0)
    }

    func addresses(of name: String) throws -> [String] {
        let answer = state.withLockedValue { state in
            state.count += 1
            return state.answer
        }
        gate.lock(whenValue: 0)
        gate.unlock()
        guard let answer else { throw CacheError(.io, "\(name) cannot be looked up") }
        return answer
    }
}
