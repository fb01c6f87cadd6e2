internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers

/// One of the L2 daemons, and what this cache thinks of it: whether it is worth asking, how long it takes, what it has
/// cost.
final class L2Node: Sendable {
    /// What is decided by and counted at each request.
    struct State {
        var health: L2Health
        var times = AnswerTimes()
        var lateness = Lateness()
        var load = NodeLoad()
        var counts = L2NodeCounts()
    }

    /// What who reads the log is told of it.
    struct Notice {
        var lastError = "too slow"
        /// When it is told again that the daemon is left out.
        var next = Duration.zero
        /// Refusals that the log has a line for.
        var told: Set<String> = []
        /// Whether the last error was one of them.
        var isRefused = false
    }

    /// What leases and gaps know it by, as long as the client lives.
    let number: Int
    let connections: L2ConnectionPool
    let budget: L2Budget
    let fills: TierGuard
    let state: NIOLockedValueBox<State>
    let notice = NIOLockedValueBox(Notice())

    /// - Parameter warmUp: of one that was not there when the client began.
    init(number: Int, connections: L2ConnectionPool, budget: L2Budget, warmUp: WarmUp?, time: TimeSource) {
        self.number = number
        self.connections = connections
        self.budget = budget
        fills = TierGuard(time: time) { _ in true }
        state = NIOLockedValueBox(State(health: L2Health(warmUp: warmUp)))
    }

    var address: L2Address { connections.address }

}

/// What a daemon was asked, and how that ended.
struct L2NodeCounts: Sendable {
    var requests = 0
    var hits = 0
    var misses = 0
    var bytes = 0
    /// No answer, a wrong one, or one that is an error.
    var errors = 0
    /// Times that it said it has too much to do.
    var sheds = 0
    /// Requests that took so long that another daemon was asked, too; and how many of these that one answered first.
    var hedges = (sent: 0, won: 0)
    /// Reads that went on to the next daemon because this one was left out.
    var passedOver = 0
    /// Times that it was left out because it was later than the others.
    var ejections = 0
}

/// The numbers of one L2 daemon, as this cache sees it, since the cache was opened or the daemon was found.
public struct L2NodeStatistics: Sendable, Hashable, Codable {
    /// Its address, as a URL.
    public var node: String
    /// `trusted`; `warming` (given a growing share of its chunks); left out: `racing` (a few requests find out whether
    /// it is worth asking), `resting` or `shedding`.
    public var state: String
    /// Its part of the requests to all daemons, 0 to 1.
    public var share: Double
    /// Reads that it was asked for, hedges and probes included.
    public var requests: Int
    /// Chunks that it had.
    public var hits: Int
    /// Chunks that it had not.
    public var misses: Int
    /// Sealed bytes that it answered.
    public var bytes: Int
    /// Requests that it did not answer, or wrongly, or with an error.
    public var errors: Int
    /// Requests that it shed: it answered 503.
    public var sheds: Int
    /// Requests to it that were late, so that the next daemon was asked as well.
    public var hedges: Int
    /// Those of them that the other one answered first.
    public var hedgesWon: Int
    /// Reads that went on to the next daemon because this one was left out.
    public var passedOver: Int
    /// Times that it was left out because it was later than the others.
    public var ejections: Int
    /// The time within which 95 of 100 of its latest hits came; 0 if there were too few.
    public var p95Seconds: Double
}

/// The numbers of all L2 daemons, as this cache sees them.
public struct L2RingStatistics: Sendable, Hashable, Codable {
    /// The daemons that there are now, in order of their addresses.
    public var nodes: [L2NodeStatistics]
    /// Reads that L2 was asked for.
    public var reads: Int
    /// Those for which a second daemon was asked because the first was late: at most a twentieth.
    public var hedges: Int
    /// Those for which another daemon was asked because the first had failed: at most a fifth, and ten.
    public var retries: Int
}
