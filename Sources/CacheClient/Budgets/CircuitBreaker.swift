internal import CacheCore
internal import NIOConcurrencyHelpers

/// Stops asking a tier that does not answer, so that it does not cost every reader its deadline.
///
/// After `threshold` failures in a row it opens for `rest`; then one caller may try, and its outcome closes or opens it
/// again.
struct CircuitBreaker: Sendable {
    enum Admission {
        case yes
        /// The tier was of no use lately: this one request finds out whether that is still so.
        case probe
        case no
    }

    private struct State {
        var failures = 0
        var openUntil: Duration?
        var probing = false
    }

    private let state = NIOLockedValueBox(State())
    private let threshold: Int
    private let rest: Duration
    private let time: TimeSource

    init(threshold: Int, rest: Duration, time: TimeSource) {
        self.threshold = threshold
        self.rest = rest
        self.time = time
    }

    /// Whether the tier may be asked now. Who does not get ``Admission/no`` tells the outcome.
    func admit() -> Admission {
        state.withLockedValue { state in
            guard let openUntil = state.openUntil else { return .yes }
            guard time.now() >= openUntil, !state.probing else { return .no }
            state.probing = true
            return .probe
        }
    }

    /// Whether only one at a time may ask, as a probe.
    var isOpen: Bool { state.withLockedValue { $0.openUntil != nil } }

    func succeeded() {
        state.withLockedValue { $0 = State() }
    }

    func failed() {
        state.withLockedValue { state in
            state.failures += 1
            state.probing = false
            if state.failures >= threshold { state.openUntil = time.now() + rest }
        }
    }

    /// Opens it, however few failures there were.
    func open() {
        state.withLockedValue { state in
            state.failures = max(state.failures, threshold)
            state.probing = false
            state.openUntil = time.now() + rest
        }
    }

    /// The caller went away before there was an outcome.
    func abandoned() {
        state.withLockedValue { $0.probing = false }
    }
}
