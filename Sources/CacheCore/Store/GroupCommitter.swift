internal import CacheBase
internal import CacheChunks
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Group commit: writes a group of requests in one transaction of LMDB, evicts what must leave for them, and learns how
/// large a group the disk commits in good time.
///
/// For the writer's thread. It answers no request and decides nothing about failures: that is ``StoreWriter``'s.
final class GroupCommitter: Sendable {
    /// Eviction is part of a commit; a store that must give up many small chunks does it in several.
    private static let maximumEvictions = 1024
    /// Reads folded into records in one commit; each costs a page.
    private static let foldedPerCommit = 64
    /// Reads folded into records in one commit when the store is closed.
    private static let foldedAtClose = 2048
    /// A commit that takes longer was too large for the disk; one that takes less than half of it may grow.
    private static let slowCommitNanoseconds: UInt64 = 60_000_000
    private static let smallestGroupBytes = ChunkLimits.sealedBytes
    /// Until it is known how fast the disk is.
    private static let firstGroupBytes = 2 << 20

    private let environment: Environment
    private let layout: StoreLayout
    private let budget: StoreBudget
    private let frequencies: FrequencyTable
    private let touched: TouchedChunks
    private let counters: StoreCounters
    private let logger: Logger
    /// Held for one group at a time; no other thread wants it.
    private let policy: NIOLockedValueBox<S3FIFO>
    private let limit: Synchronization.Atomic<Int>

    init(
        _ opened: OpenedStore, layout: StoreLayout, frequencies: FrequencyTable, touched: TouchedChunks,
        counters: StoreCounters, logger: Logger
    ) {
        environment = opened.environment
        budget = opened.budget
        self.layout = layout
        self.frequencies = frequencies
        self.touched = touched
        self.counters = counters
        self.logger = logger
        limit = Synchronization.Atomic(min(opened.budget.groupBytes, Self.firstGroupBytes))
        // As many as the store holds if chunks are 64 KiB.
        policy = NIOLockedValueBox(S3FIFO(chunks: Int(opened.budget.capacity >> 16)))
    }

    /// Sealed bytes that the next group should have at most.
    var groupBytes: Int { limit.load(ordering: .relaxed) }

    /// Commits the first requests of `group`, once: the outcomes of those that are in the commit.
    func commit(_ group: ArraySlice<QueuedWrite>) throws -> [PutOutcome] {
        let started = StoreWriter.nanoseconds()
        let now = StoreWriter.seconds()
        var outcomes: [PutOutcome] = []
        var added: [ChunkID] = []
        var tally = (bytes: 0, returning: 0)
        var transaction = try StoreTransaction(environment, layout: layout)
        var changed = false
        try policy.withLockedValue { policy in
            for write in group {
                switch write {
                case .put(let id, let sealed, _):
                    if try transaction.record(id) != nil {
                        outcomes.append(.alreadyPresent)
                        continue
                    }
                    var arrival = policy.arrival(
                        of: id, bytes: layout.diskBytes(sealed.readableBytes), transaction.occupancy)
                    guard try makeRoom(for: sealed.readableBytes, of: &arrival, in: &transaction, &policy) else {
                        changed = true
                        return
                    }
                    if arrival.isReturning { tally.returning += 1 }
                    let queue = policy.admit(arrival, transaction.occupancy)
                    try sealed.withUnsafeReadableBytes { try transaction.insert(id, $0, queue) }
                    added.append(id)
                    tally.bytes += sealed.readableBytes
                    changed = true
                case .drop(let id):
                    if try transaction.remove(id) { changed = true }
                case .flush:
                    for id in touched.take(.max) where try transaction.fold(id, frequencies, &policy) {
                        changed = true
                    }
                }
                outcomes.append(.created)
            }
        }
        if changed {
            try policy.withLockedValue { policy in
                for id in touched.take(Self.foldedPerCommit) { try transaction.fold(id, frequencies, &policy) }
            }
            let evictions = transaction.evictions
            try transaction.commit()
            counters.evictions.count(UInt64(evictions))
            counters.puts.count(UInt64(added.count))
            counters.bytesPut.count(UInt64(tally.bytes))
            counters.returningPuts.count(UInt64(tally.returning))
            for id in added { frequencies.reset(id, now: now) }
            adapt(to: StoreWriter.nanoseconds() - started)
        }
        return outcomes
    }

    /// Checks the whole index: well under a second for 10 GiB. Readers go on meanwhile.
    /// - Throws: if it is damaged, or cannot be read.
    func checkIndex() throws(LMDBFailure) {
        _ = try StoreTransaction(environment, layout: layout, isSuspect: true)
    }

    /// Evicts until a chunk of `length` bytes fits; false if this commit has evicted enough and the next one must go
    /// on.
    private func makeRoom(
        for length: Int, of arrival: inout Arrival, in transaction: inout StoreTransaction, _ policy: inout S3FIFO
    ) throws(LMDBFailure) -> Bool {
        let needed = layout.diskBytes(length)
        while transaction.state.usedBytes &+ needed > budget.usableBytes {
            if transaction.evictions >= Self.maximumEvictions { return false }
            if try !transaction.evictOne(&policy, frequencies, for: &arrival) { break }
        }
        return true
    }

    /// Evicts two groups' worth of chunks, so that a commit for which the map had no free page can be tried again.
    func evictForFullMap() -> Bool {
        evict(2 * UInt64(budget.groupBytes), atMost: Self.maximumEvictions)
    }

    /// Evicts chunks of `bytes` together, at most `count`, so that a write that found no room can be tried again; false
    /// if that failed. Pages freed by one commit are usable in the second one after it, so it commits twice.
    func evict(_ bytes: UInt64, atMost count: Int) -> Bool {
        do {
            var transaction = try StoreTransaction(environment, layout: layout)
            let target = transaction.state.usedBytes - min(transaction.state.usedBytes, bytes)
            var nobody = Arrival()
            try policy.withLockedValue { policy in
                while transaction.state.usedBytes > target, transaction.evictions < count {
                    if try !transaction.evictOne(&policy, frequencies, for: &nobody) { break }
                }
            }
            let evictions = transaction.evictions
            try transaction.commit()
            counters.evictions.count(UInt64(evictions))
            try StoreTransaction(environment, layout: layout).commit()
            return true
        } catch {
            logger.debug("no room could be made", metadata: ["reason": "\(error)"])
            return false
        }
    }

    /// Writes the next reads that were counted in memory to the chunks' records; false if none are left.
    func foldReads() throws -> Bool {
        let ids = touched.take(Self.foldedAtClose)
        if ids.isEmpty { return false }
        var transaction = try StoreTransaction(environment, layout: layout)
        var changed = false
        try policy.withLockedValue { policy in
            for id in ids where try transaction.fold(id, frequencies, &policy) { changed = true }
        }
        if changed { try transaction.commit() }
        return true
    }

    /// Halves the groups after a slow commit and lets them grow by an eighth after a fast one.
    private func adapt(to nanoseconds: UInt64) {
        counters.commits.add(nanoseconds: nanoseconds)
        let current = groupBytes
        if nanoseconds > Self.slowCommitNanoseconds {
            limit.store(max(current / 2, Self.smallestGroupBytes), ordering: .relaxed)
        } else if nanoseconds < Self.slowCommitNanoseconds / 2 {
            limit.store(min(current + current / 8, budget.groupBytes), ordering: .relaxed)
        }
    }
}
