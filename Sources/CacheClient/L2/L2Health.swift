/// Whether a daemon is worth asking. A pure value: who asks says what the time is.
///
/// It is *trusted* at first. After failures in a row it *rests*; after it has used up the budget for waiting it must
/// *race*: a few reads ask it and L3 at the same time, which delays none of them, and tell whether it is as fast. It
/// races after a rest, too, and one that won is trusted once the budget allows a wait again.
struct L2Health: Sendable {
    enum Admission: Equatable {
        /// It is asked before L3 is.
        case first
        /// It is asked while L3 is.
        case race
        /// It is left out.
        case no
    }

    private enum State: Equatable {
        case trusted(failures: Int)
        case racing(underWay: Int, won: Int, lost: Int)
        case resting(until: Duration)
    }

    /// Failures in a row that it takes to let it rest.
    static let failures = 5
    static let races = 8
    private static let racesToWin = 6
    static let rest = Duration.seconds(5)
    private static let maximumRest = Duration.seconds(60)

    private var state = State.trusted(failures: 0)
    /// Requests under way that came first: as long as there are many, a race would measure the queue that they make.
    private var asked = 0
    /// Doubles with each rest that was of no use.
    private var nextRest = Self.rest

    /// After ``Admission/first`` or ``Admission/race``, ``ended(succeeded:now:)`` or ``raced(won:budgetAt:now:)`` must
    /// follow.
    mutating func admit(now: Duration) -> Admission {
        if case .resting(let end) = state, now >= end { state = .racing(underWay: 0, won: 0, lost: 0) }
        switch state {
        case .trusted:
            asked += 1
            return .first
        case .resting: return .no
        case .racing(let underWay, let won, let lost):
            guard asked <= Self.races, underWay + won + lost < Self.races else { return .no }
            state = .racing(underWay: underWay + 1, won: won, lost: lost)
            return .race
        }
    }

    /// It is asked whatever is thought of it, because L3 has failed; counts as a request that came first.
    mutating func insisted() { asked += 1 }

    /// A request that came first has ended.
    ///
    /// - Parameter succeeded: whether there was a right answer before L3 was asked as well; `nil` if that was not found
    ///   out.
    mutating func ended(succeeded: Bool?, now: Duration) {
        asked -= 1
        guard case .trusted(let failures) = state else { return }
        switch succeeded {
        case true: state = .trusted(failures: 0)
        case false: failed(failures + 1, now)
        case nil: break
        }
    }

    /// It has sent wrong bytes, and did not own up to them.
    mutating func wasWrong(now: Duration) {
        guard case .trusted(let failures) = state else { return }
        failed(failures + 1, now)
    }

    private mutating func failed(_ inARow: Int, _ now: Duration) {
        if inARow >= Self.failures { takeRest(now) } else { state = .trusted(failures: inARow) }
    }

    /// Its readers have lost as much time to it as the budget allows.
    mutating func exhausted() {
        if case .trusted = state { state = .racing(underWay: 0, won: 0, lost: 0) }
    }

    /// - Parameters:
    ///   - won: whether it was as fast as L3; `nil` if that was not found out.
    ///   - budgetAt: when the budget allows the next wait: a daemon that wins most races may still be late now and
    ///     then.
    mutating func raced(won: Bool?, budgetAt: Duration = .zero, now: Duration) {
        guard case .racing(let underWay, var wins, var losses) = state else { return }
        if won == true { wins += 1 }
        if won == false { losses += 1 }
        if wins >= Self.racesToWin {
            state = budgetAt <= now ? .trusted(failures: 0) : .resting(until: budgetAt)
            nextRest = Self.rest
        } else if losses > Self.races - Self.racesToWin {
            takeRest(now)
        } else {
            state = .racing(underWay: max(underWay - 1, 0), won: wins, lost: losses)
        }
    }

    private mutating func takeRest(_ now: Duration) {
        state = .resting(until: now + nextRest)
        nextRest = min(nextRest * 2, Self.maximumRest)
    }
}
