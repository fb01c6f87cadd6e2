internal import CacheCore
internal import NIOConcurrencyHelpers

/// What one L2 daemon may cost the reads of this cache, and what it has cost: the one place that decides. Each of
/// several daemons has an equal part of what L2 may cost in all.
///
/// Times are of the wall clock: when a read waits for a while, of as many as are under way, the cache loses the waiting
/// time divided by their number. What L3 would have taken instead is no loss, and on a machine that is busy everything
/// may take longer (``MachineLoad``).
final class L2Budget: Sendable {
    private struct State {
        var budget: WaitBudget
        /// What answers that come soon may cost together: many small losses are a large one.
        var small: WaitBudget
    }

    /// An answer within that time is no loss, as long as there are not too many: about what a round trip takes on a
    /// machine that is busy.
    static let free = Duration.milliseconds(5)
    private static let freeAtFirst = Duration.milliseconds(100)
    private static let freeShare = 0.05
    /// What a chunk from any L3 costs at least, when it is not known what this one does: about 500 MB/s.
    static let cheapestChunk = Duration.milliseconds(1)
    /// A daemon may take that many times as long as others do.
    private static let slowerThanOthers = 2
    /// L3 is asked no sooner than that while L2 is trusted.
    static let shortestWait = Duration.milliseconds(50)
    /// Fills leave that much to reads.
    private static let reserve = 0.3
    /// A machine that is busier than that gets no more time for it. On one that busy, an L2 that all reads wait for all
    /// the time costs less than comes back.
    private static let busiest = 32.0
    private static let busiestForFills = 2.5

    private let state: NIOLockedValueBox<State>
    /// For all daemons.
    private let capacity: Duration
    private let commons: L2Commons
    private let load: ReadLoad
    private let time: TimeSource

    /// - Parameters:
    ///   - capacity: what is there at first, for all daemons together.
    ///   - daemons: how many there are.
    init(_ capacity: Duration, among daemons: Int = 1, _ commons: L2Commons, load: ReadLoad, time: TimeSource) {
        self.capacity = capacity
        self.commons = commons
        self.load = load
        self.time = time
        state = NIOLockedValueBox(
            State(budget: WaitBudget(capacity), small: WaitBudget(Self.freeAtFirst, share: Self.freeShare)))
        share(among: daemons)
    }

    /// There are so many daemons now.
    func share(among daemons: Int) {
        let count = max(daemons, 1)
        state.withLockedValue { state in
            let now = time.now()
            state.budget.resize(capacity / count, share: WaitBudget.share / Double(count), now: now)
            state.small.resize(Self.freeAtFirst / count, share: Self.freeShare / Double(count), now: now)
        }
    }

    /// How much longer everything takes on this machine.
    private var busy: Double { min(load.machine.factor, Self.busiest) }

    /// What a deadline of one request is on a machine that is as busy as this one is now.
    func stretched(_ deadline: Duration) -> Duration { deadline * busy }

    /// How long a read waits for L2 before it asks L3 as well: on a machine that is busy all answers take longer.
    var wait: Duration { wait(amongFills: false) }

    /// - Parameter amongFills: whether the daemon has workers wait for one another's fills just now.
    func wait(amongFills: Bool) -> Duration {
        let busy = busy
        return state.withLockedValue { state in
            let now = time.now()
            let left = max(state.budget.left(now: now), amongFills ? commons.inLine : .zero)
            return max(left / 2, Self.shortestWait) * busy
        }
    }

    /// When the budget allows a wait again; now or earlier if it does.
    var nextWaitAt: Duration {
        state.withLockedValue { $0.budget.time(of: min(Self.shortestWait, $0.budget.capacity), now: time.now()) }
    }

    /// A read has waited for L2 alone, and its reader for it.
    ///
    /// - Parameters:
    ///   - spared: whether it got its chunk, which L3 need not bring now.
    ///   - amongFills: whether the daemon has workers wait for one another's fills just now: then all of them come to
    ///     it at once, and what that costs is taken off what there is for such waits, as long as there is some.
    ///   - others: how long the other daemons take, where there are any that could be asked instead.
    /// - Returns: whether there is something left of the budget, or nothing was lost.
    func waited(
        _ duration: Duration, spared: Bool, amongFills: Bool = false, others: Duration? = nil
    ) -> Bool {
        let known = commons.l3Latency
        let busy = busy
        return state.withLockedValue { state in
            let now = time.now()
            let readers = load.readers
            var loss = duration / readers
            if spared {
                var instead = Self.cheapestChunk * busy
                if let known { instead = max(instead, known / readers) }
                if let others {
                    instead = min(instead, (others * Self.slowerThanOthers + Self.free * busy) / readers)
                }
                loss -= instead
            }
            guard loss > .zero else { return true }
            let free = min(loss, Self.free * busy / readers, max(state.small.left(now: now), .zero))
            state.small.spend(free, now: now)
            loss -= free
            guard loss > .zero else { return true }
            if amongFills, commons.inLine > .zero {
                commons.spendInLine(loss / busy)
                return true
            }
            state.budget.spend(loss / busy, now: now)
            return state.budget.left(now: now) > .zero
        }
    }

    // MARK: Fills of other workers

    /// How long a read may be in line at L2 for the fill of another worker: a fill that comes is no loss, and one that
    /// does not come is taken off.
    /// - Parameter longest: on an idle machine.
    func waitInLine(_ longest: Duration) -> Duration {
        min(commons.inLine, longest) * min(busy, MachineLoad.longestStretch)
    }

    func waitedInVain(_ duration: Duration) { commons.spendInLine(duration / (Double(load.readers) * busy)) }

    /// Whether the daemon did as well as what was asked beside it, which answered the same read after `other`.
    func isAsFast(_ duration: Duration, as other: Duration) -> Bool {
        duration <= other * 2 + Self.free * 2 * busy
    }

    // MARK: Fills

    /// How long a reader may wait for room for a fill.
    /// - Parameter isLeased: whether others wait for it: then it may take what there is for waits in line, too.
    func waitForFill(isLeased: Bool) -> Duration {
        let busy = isLeased ? busy : 1
        return state.withLockedValue { state in
            let own = state.budget.left(now: time.now()) - state.budget.capacity * Self.reserve
            return max(own, isLeased ? commons.inLine : .zero, .zero) * busy
        }
    }

    /// - Parameter readers: that were under way meanwhile.
    func waitedForFill(_ duration: Duration, readers: Int, isLeased: Bool) {
        let busy = isLeased ? busy : min(load.machine.factor, Self.busiestForFills)
        state.withLockedValue { state in
            let loss = duration / (Double(readers) * busy)
            if isLeased, commons.inLine > .zero {
                commons.spendInLine(loss)
            } else {
                state.budget.spend(loss, now: time.now())
            }
        }
    }

    /// How long the end of all reads may wait for what is still on its way to L2.
    /// - Parameter isLeased: whether others wait for some of it.
    func waitForEnd(isLeased: Bool) -> Duration {
        let busy = isLeased ? busy : 1
        return state.withLockedValue { state in
            max(state.budget.left(now: time.now()), isLeased ? commons.inLine : .zero, .zero) * busy
        }
    }
}
