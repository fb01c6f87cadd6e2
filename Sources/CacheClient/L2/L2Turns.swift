internal import CacheCore

/// Whose turn it is to use a connection to one daemon, or to make one: a bounded number at a time, which is lower while
/// the daemon says that it has no room for more.
///
/// Reads and fills have a limit each, so that neither keeps the other from its connections.
final class L2Turns: Sendable {
    /// Why somebody wants a connection.
    enum Purpose {
        case read
        case fill
    }

    /// How many connections a worker without bounds by the daemon has for reads, and as many for fills.
    let maximum: Int
    private let reads: AsyncLimiter
    private let fills: AsyncLimiter
    private let both: AsyncLimiter
    /// Connections for reads that may be on their way to a first answer at a time, so that a daemon is not asked by all
    /// its workers for all their connections at once.
    private static let newcomers = 2

    init(maximum: Int) {
        self.maximum = maximum
        reads = AsyncLimiter("reads of L2", capacity: min(maximum, Self.newcomers), maximumWaiters: .max)
        fills = AsyncLimiter("fills of L2", capacity: maximum, maximumWaiters: .max)
        both = AsyncLimiter("requests to L2", capacity: 2 * maximum, maximumWaiters: .max)
    }

    /// How many connections there may be. Where the daemon has no room for all, some are left for fills by whatever
    /// number of reads that stand in line at the daemon, and for reads by fills.
    /// - Parameter share: how many for reads the daemon would have.
    func most(_ share: Int) -> (reads: Int, fills: Int, both: Int) {
        guard share < maximum else { return (maximum, maximum, 2 * maximum) }
        let both = share + max(share / 3, 1)
        return (share, max(both * 2 / 3, 1), both)
    }

    /// - Parameter proven: connections that have brought an answer.
    func fit(share: Int, proven: Int) {
        let most = most(share)
        reads.resize(min(most.reads, proven + Self.newcomers))
        fills.resize(most.fills)
        both.resize(most.both)
    }

    /// Waits for a turn, which ``leave(_:)`` ends. Whether there was a wait.
    /// - Parameters:
    ///   - duration: that one wait takes; after it `mayGoOn` says whether there is another one.
    /// - Throws: ``L2Failure/late``; `CancellationError`.
    func enter(
        _ purpose: Purpose, goesFirst: Bool, within duration: Duration, _ deadlines: Deadlines,
        mayGoOn: () -> Bool
    ) async throws -> Bool {
        let own = purpose == .read ? reads : fills
        func enter(_ limit: AsyncLimiter) async throws -> Bool {
            if limit.acquireNow() { return false }
            while try await !limit.acquire(goesFirst: goesFirst, within: duration, deadlines) {
                guard mayGoOn() else { throw L2Failure.late }
            }
            return true
        }
        let hasWaited = try await enter(own)
        do { return try await enter(both) || hasWaited } catch {
            own.release()
            throw error
        }
    }

    func leave(_ purpose: Purpose) {
        both.release()
        (purpose == .read ? reads : fills).release()
    }
}
