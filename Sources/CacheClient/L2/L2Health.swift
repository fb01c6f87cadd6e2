/// Whether a daemon is worth asking. A pure value: who asks says what the time is.
///
/// It is *trusted* at first. After failures in a row it *rests*; after it has used up the budget for waiting it must
/// *race*: a few reads ask it and L3 at the same time, which delays none of them, and tell whether it is as fast. It
/// races after a rest, too, and one that won is trusted once the budget allows a wait again. One that *sheds* load says
/// itself when to come again. After any of these it warms up (``WarmUp``).
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
        case racing(Races)
        case resting(until: Duration)
        case shedding(until: Duration)
    }

    private struct Races: Equatable {
        var underWay = 0
        var won = 0
        var lost = 0
        private var begun = 0
        /// When the next may begin where they are spread over time.
        private var next = Duration.zero

        /// - Parameter isSpread: whether there is a pause before each, twice as long as the one before: whatever
        ///   rhythm a daemon is well in, and ill, not all of them meet it well.
        mutating func begin(isSpread: Bool, now: Duration) -> Bool {
            guard underWay + won + lost < L2Health.races, !isSpread || now >= next else { return false }
            next = now + L2Health.firstPause * Double(1 << min(begun, 6))
            underWay += 1
            begun += 1
            return true
        }
    }

    /// What a reader of numbers is told.
    enum Condition: String {
        case trusted
        /// It is trusted, and given a growing share of its chunks.
        case warming
        /// A few requests find out whether it is worth asking.
        case racing
        /// Left out.
        case resting
        /// Left out because it said that it has too much to do.
        case shedding
    }

    /// Failures in a row that it takes to let it rest.
    static let failures = 5
    static let races = 8
    private static let racesToWin = 6
    private static let firstPause = Duration.milliseconds(10)
    static let rest = Duration.seconds(5)
    private static let maximumRest = Duration.seconds(60)
    /// A daemon that sheds is not asked for that long at least, and at most.
    private static let shedding = (least: Duration.milliseconds(100), most: Duration.seconds(30))

    private var state = State.trusted(failures: 0)
    /// Requests under way that came first: as long as there are many, a race would measure the queue that they make.
    private var asked = 0
    /// Doubles with each rest that was of no use.
    private var nextRest = Self.rest
    /// What it was before the daemon came back.
    private var restBefore = Self.rest
    /// Times in a row that it was left alone because it shed load.
    private var sheds = 0
    /// Since when it has not been trusted.
    private var away: Duration?
    private var warmUp: WarmUp?

    /// - Parameter warmUp: of a daemon that was not there before.
    init(warmUp: WarmUp? = nil) {
        self.warmUp = warmUp
    }

    /// Whether it may be asked before others are.
    mutating func isTrusted(now: Duration) -> Bool {
        refresh(now)
        if case .trusted = state { return true }
        return false
    }

    /// Which share of its objects it is to be asked for, from 0 to 1.
    mutating func share(now: Duration) -> Double {
        isYoung(now: now) ? warmUp?.share(now: now) ?? 1 : 1
    }

    /// Whether it may lack what others have, because it was not there.
    mutating func isYoung(now: Duration) -> Bool {
        if warmUp?.isYoung(now: now) == false { warmUp = nil }
        return warmUp != nil
    }

    mutating func condition(now: Duration) -> Condition {
        refresh(now)
        switch state {
        case .trusted: return share(now: now) < 1 ? .warming : .trusted
        case .racing: return .racing
        case .resting: return .resting
        case .shedding: return .shedding
        }
    }

    /// It answered that it has too much to do, and when to come again: heeded once it does so time after time. A daemon
    /// that sheds now and then serves the others, and without it they would all come to L3.
    /// - Parameter jitter: from 0 to 1, so that not all come at the same time.
    mutating func shed(for duration: Duration, jitter: Double, now: Duration) {
        guard case .trusted(let failures) = state else { return }
        guard failures + 1 >= Self.failures else {
            state = .trusted(failures: failures + 1)
            return
        }
        sheds = min(sheds + 1, 8)
        let doubled = max(duration, Self.shedding.least) * Double(1 << (sheds - 1)) * (1 + jitter)
        leave(.shedding(until: now + min(doubled, Self.shedding.most)), now)
    }

    private mutating func refresh(_ now: Duration) {
        switch state {
        case .resting(let end) where now >= end: state = .racing(Races())
        case .shedding(let end) where now >= end: trust(now)
        case .trusted, .racing, .resting, .shedding: break
        }
    }

    private mutating func leave(_ new: State, _ now: Duration) {
        away = away ?? now
        state = new
    }

    private mutating func trust(_ now: Duration) {
        state = .trusted(failures: 0)
        if let away { warmUp = WarmUp(at: now, away: now - away) }
        away = nil
    }

    /// After ``Admission/first`` or ``Admission/race``, ``ended(succeeded:now:)`` or ``raced(won:budgetAt:now:)`` must
    /// follow.
    /// - Parameter hasStandIn: whether another daemon stands in for it: then races are spread over time.
    mutating func admit(hasStandIn: Bool = false, now: Duration) -> Admission {
        refresh(now)
        switch state {
        case .trusted:
            asked += 1
            return .first
        case .resting, .shedding: return .no
        case .racing(var races):
            guard asked <= Self.races, races.begin(isSpread: hasStandIn, now: now) else { return .no }
            state = .racing(races)
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
        case true:
            state = .trusted(failures: 0)
            sheds = 0
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
    /// - Parameter hasStandIn: whether another daemon stands in for it: then it rests first, and longer if it has come
    ///   back lately. One that is well for some milliseconds of many wins races now and then.
    mutating func exhausted(hasStandIn: Bool = false, now: Duration) {
        guard case .trusted = state else { return }
        guard hasStandIn else { return leave(.racing(Races()), now) }
        if isYoung(now: now) { nextRest = max(nextRest, restBefore) }
        takeRest(now)
    }

    /// - Parameters:
    ///   - won: whether it was as fast as L3; `nil` if that was not found out.
    ///   - budgetAt: when the budget allows the next wait: a daemon that wins most races may still be late now and
    ///     then.
    mutating func raced(won: Bool?, budgetAt: Duration = .zero, now: Duration) {
        guard case .racing(var races) = state else { return }
        if won == true { races.won += 1 }
        if won == false { races.lost += 1 }
        if races.won >= Self.racesToWin {
            (restBefore, nextRest) = (nextRest, Self.rest)
            if budgetAt <= now { trust(now) } else { state = .resting(until: budgetAt) }
        } else if races.lost > Self.races - Self.racesToWin {
            takeRest(now)
        } else {
            races.underWay = max(races.underWay - 1, 0)
            state = .racing(races)
        }
    }

    private mutating func takeRest(_ now: Duration) {
        leave(.resting(until: now + nextRest), now)
        nextRest = min(nextRest * 2, Self.maximumRest)
    }
}
