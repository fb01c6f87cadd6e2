internal import NIOConcurrencyHelpers
internal import NIOCore

/// Stops asking a tier that does not answer, so that it costs nobody its deadline again and again.
///
/// After `threshold` failures in a row it opens for `rest`; then one caller may try, and its outcome closes or opens it again.
struct CircuitBreaker: Sendable {
    private struct State {
        var failures = 0
        var openUntil: NIODeadline?
        var probing = false
    }

    private let state = NIOLockedValueBox(State())
    private let threshold: Int
    private let rest: TimeAmount

    init(threshold: Int, rest: TimeAmount) {
        self.threshold = threshold
        self.rest = rest
    }

    /// Whether the tier may be asked now. Who gets `true` tells the outcome.
    func mayTry(now: NIODeadline = .now()) -> Bool {
        state.withLockedValue { state in
            guard let openUntil = state.openUntil else { return true }
            guard now >= openUntil, !state.probing else { return false }
            state.probing = true
            return true
        }
    }

    func succeeded() {
        state.withLockedValue { $0 = State() }
    }

    func failed(now: NIODeadline = .now()) {
        state.withLockedValue { state in
            state.failures += 1
            state.probing = false
            if state.failures >= threshold { state.openUntil = now + rest }
        }
    }

    /// The caller went away before there was an outcome.
    func abandoned() {
        state.withLockedValue { $0.probing = false }
    }
}
