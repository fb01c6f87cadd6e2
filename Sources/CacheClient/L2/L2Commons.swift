internal import CacheCore
internal import NIOConcurrencyHelpers

/// What the accounts of all daemons have in common: the account of waits for fills of other workers, and how long L3
/// takes.
final class L2Commons: Sendable {
    private struct State {
        /// What waits for fills of other workers may cost that did not come.
        var inLine: WaitBudget
        /// How long L3 takes lately for a read under as much load as there was.
        var l3: (latency: Duration, at: Duration)?
    }

    private static let inLineShare = 0.1
    /// What L3 did longer ago says nothing.
    private static let memory = Duration.seconds(60)

    private let state: NIOLockedValueBox<State>
    private let time: TimeSource

    /// - Parameter inLine: what waits in line may cost at first.
    init(inLine: Duration, time: TimeSource) {
        self.time = time
        state = NIOLockedValueBox(State(inLine: WaitBudget(inLine, share: Self.inLineShare)))
    }

    /// L3 has answered a read.
    func l3Answered(after latency: Duration) {
        state.withLockedValue { state in
            let now = time.now()
            if let old = state.l3, now - old.at < Self.memory {
                state.l3 = (old.latency + (latency - old.latency) / 8, now)
            } else {
                state.l3 = (latency, now)
            }
        }
    }

    /// How long L3 takes, if it was read lately.
    var l3Latency: Duration? {
        state.withLockedValue { state in
            guard let known = state.l3, time.now() - known.at < Self.memory else { return nil }
            return known.latency
        }
    }

    /// What is left for waits in line; not below zero.
    var inLine: Duration { state.withLockedValue { max($0.inLine.left(now: time.now()), .zero) } }

    func spendInLine(_ duration: Duration) {
        state.withLockedValue { $0.inLine.spend(duration, now: time.now()) }
    }
}
