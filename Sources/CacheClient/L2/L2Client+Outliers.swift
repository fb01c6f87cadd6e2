internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers

/// A daemon that answers later than the others do, time after time, is left out, and comes back by races beside them.
extension L2Client {
    /// Takes note of whether a daemon was late, by how the others do.
    ///
    /// - Parameters:
    ///   - took: how long the daemon has had for its answer.
    ///   - waited: how much of that readers waited for.
    ///   - isAnswer: whether there was an answer; else it takes longer than that.
    func compare(_ attempt: L2Attempt, with pace: RingPace, took: Duration, waited: Duration, isAnswer: Bool) {
        guard let high = pace.high else { return }
        let bound = Lateness.bound(high, slack: L2Budget.free)
        let isLate = waited > bound
        // One that is late for nobody says nothing.
        guard isLate || (isAnswer && took <= bound) else { return }
        let now = time.now()
        let isEjected = attempt.node.state.withLockedValue { state in
            state.lateness.note(isLate ? waited : took, bound: bound, began: attempt.began, now: now)
            guard isLate, pace.canSpareOne, state.lateness.standsOut(among: pace.scores),
                state.health.isTrusted(now: now)
            else { return false }
            state.lateness = Lateness()
            state.counts.ejections += 1
            state.health.exhausted(hasStandIn: true, now: now)
            return true
        }
        guard isEjected else { return }
        logger.debug(
            "an L2 daemon is later than the others: left out for a while",
            metadata: ["node": "\(attempt.node.address)", "bound": "\(bound)"])
    }

    /// Whether a daemon that was tried did as well as the one that answered the same read, or as the others do.
    func isAsFast(_ attempt: L2Attempt, after duration: Duration) -> Bool {
        guard let other = attempt.otherLatency else { return true }
        let node = attempt.node
        guard let high = members.pace(besides: node)?.high else {
            return node.budget.isAsFast(duration, as: other)
        }
        return duration <= max(Lateness.bound(high, slack: L2Budget.free), other * 2)
    }
}
