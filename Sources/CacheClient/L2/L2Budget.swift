internal import CacheCore
internal import NIOConcurrencyHelpers

/// What all of L2 may cost the reads of this cache, and what it has cost: the one place that decides.
///
/// Times are of the wall clock: when a read waits for a while, of as many as are under way, the cache loses the waiting
/// time divided by their number. What L3 would have taken instead is no loss, and on a machine that is busy everything
/// may take longer (``MachineLoad``).
final class L2Budget: Sendable {
    private struct State {
        var budget: WaitBudget
        /// What answers that come soon may cost together: many small losses are a large one.
        var small = WaitBudget(L2Budget.freeAtFirst, share: L2Budget.freeShare)
        /// What waits for fills of other workers may cost that did not come.
        var inLine: WaitBudget
        /// How long L3 takes lately for a read under as much load as there was.
        var l3: (latency: Duration, at: Duration)?
    }

    /// An answer within that time is no loss, as long as there are not too many: about what a round trip takes on a
    /// machine that is busy.
    static let free = Duration.milliseconds(5)
    private static let freeAtFirst = Duration.milliseconds(100)
    private static let freeShare = 0.05
    private static let inLineShare = 0.1
    /// What a chunk from any L3 costs at least, when it is not known what this one does: about 500 MB/s.
    static let cheapestChunk = Duration.milliseconds(1)
    /// L3 is asked no sooner than that while L2 is trusted.
    static let shortestWait = Duration.milliseconds(50)
    /// Fills leave that much to reads.
    private static let reserve = 0.3
    /// A machine that is busier than that gets no more time for it. On one that busy, an L2 that all reads wait for all
    /// the time costs less than comes back.
    private static let busiest = 32.0
    private static let busiestForFills = 2.5
    /// What L3 did longer ago says nothing.
    private static let memory = Duration.seconds(60)

    private let state: NIOLockedValueBox<State>
    private let capacity: Duration
    private let load: ReadLoad
    private let time: TimeSource

    /// - Parameters:
    ///   - capacity: what is there at first.
    ///   - inLine: the same for waits in line.
    init(_ capacity: Duration, inLine: Duration = .zero, load: ReadLoad, time: TimeSource) {
        self.capacity = capacity
        self.load = load
        self.time = time
        state = NIOLockedValueBox(
            State(budget: WaitBudget(capacity), inLine: WaitBudget(inLine, share: Self.inLineShare)))
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
            let left = max(state.budget.left(now: now), amongFills ? state.inLine.left(now: now) : .zero)
            return max(left / 2, Self.shortestWait) * busy
        }
    }

    /// When the budget allows a wait again; now or earlier if it does.
    var nextWaitAt: Duration {
        state.withLockedValue { $0.budget.time(of: min(Self.shortestWait, capacity), now: time.now()) }
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

    /// A read has waited for L2 alone, and its reader for it.
    ///
    /// - Parameters:
    ///   - spared: whether it got its chunk, which L3 need not bring now.
    ///   - amongFills: whether the daemon has workers wait for one another's fills just now: then all of them come to
    ///     it at once, and what that costs is taken off what there is for such waits, as long as there is some.
    /// - Returns: whether there is something left of the budget, or nothing was lost.
    func waited(_ duration: Duration, spared: Bool, amongFills: Bool = false) -> Bool {
        let busy = busy
        return state.withLockedValue { state in
            let now = time.now()
            let readers = load.readers
            var loss = duration / readers
            if spared {
                var l3 = Self.cheapestChunk * busy
                if let known = state.l3, now - known.at < Self.memory { l3 = max(l3, known.latency / readers) }
                loss -= l3
            }
            guard loss > .zero else { return true }
            let free = min(loss, Self.free * busy / readers, max(state.small.left(now: now), .zero))
            state.small.spend(free, now: now)
            loss -= free
            guard loss > .zero else { return true }
            if amongFills, state.inLine.left(now: now) > .zero {
                state.inLine.spend(loss / busy, now: now)
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
        let stretch = min(busy, MachineLoad.longestStretch)
        return state.withLockedValue { min(max($0.inLine.left(now: time.now()), .zero), longest) } * stretch
    }

    func waitedInVain(_ duration: Duration) {
        let busy = busy
        state.withLockedValue { $0.inLine.spend(duration / (Double(load.readers) * busy), now: time.now()) }
    }

    /// Whether L2 did as well as L3, which answered the same read after `l3`.
    func isAsFast(_ l2: Duration, as l3: Duration) -> Bool {
        l2 <= l3 * 2 + Self.free * 2 * busy
    }

    // MARK: Fills

    /// How long a reader may wait for room for a fill.
    /// - Parameter isLeased: whether others wait for it: then it may take what there is for waits in line, too.
    func waitForFill(isLeased: Bool) -> Duration {
        let busy = isLeased ? busy : 1
        return state.withLockedValue { state in
            let now = time.now()
            let own = state.budget.left(now: now) - capacity * Self.reserve
            return max(own, isLeased ? state.inLine.left(now: now) : .zero, .zero) * busy
        }
    }

    /// - Parameter readers: that were under way meanwhile.
    func waitedForFill(_ duration: Duration, readers: Int, isLeased: Bool) {
        let busy = isLeased ? busy : min(load.machine.factor, Self.busiestForFills)
        state.withLockedValue { state in
            let now = time.now()
            let loss = duration / (Double(readers) * busy)
            if isLeased, state.inLine.left(now: now) > .zero {
                state.inLine.spend(loss, now: now)
            } else {
                state.budget.spend(loss, now: now)
            }
        }
    }

    /// How long the end of all reads may wait for what is still on its way to L2.
    /// - Parameter isLeased: whether others wait for some of it.
    func waitForEnd(isLeased: Bool) -> Duration {
        let busy = isLeased ? busy : 1
        return state.withLockedValue { state in
            let now = time.now()
            return max(state.budget.left(now: now), isLeased ? state.inLine.left(now: now) : .zero, .zero) * busy
        }
    }
}
