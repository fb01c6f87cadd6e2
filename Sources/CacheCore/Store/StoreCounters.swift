internal import Synchronization

/// The counters behind ``ChunkStoreStatistics``, raised from any thread.
final class StoreCounters: Sendable {
    let hits = Atomic<UInt64>(0)
    let misses = Atomic<UInt64>(0)
    let puts = Atomic<UInt64>(0)
    let bytesPut = Atomic<UInt64>(0)
    let evictions = Atomic<UInt64>(0)
    let corruptDropped = Atomic<UInt64>(0)
    let resets = Atomic<UInt64>(0)
    let reopenings = Atomic<UInt64>(0)
    let writesRefused = Atomic<UInt64>(0)
    let returningPuts = Atomic<UInt64>(0)
    let commits = CommitCounters()

    /// The counts, each exact but not of one instant; what the store holds is left at 0.
    func snapshot() -> ChunkStoreStatistics {
        var snapshot = ChunkStoreStatistics()
        snapshot.hits = hits.load(ordering: .relaxed)
        snapshot.misses = misses.load(ordering: .relaxed)
        snapshot.evictions = evictions.load(ordering: .relaxed)
        snapshot.writes.returning = returningPuts.load(ordering: .relaxed)
        snapshot.writes.puts = puts.load(ordering: .relaxed)
        snapshot.writes.bytesPut = bytesPut.load(ordering: .relaxed)
        snapshot.writes.refused = writesRefused.load(ordering: .relaxed)
        snapshot.faults.corruptDropped = corruptDropped.load(ordering: .relaxed)
        snapshot.faults.resets = resets.load(ordering: .relaxed)
        snapshot.faults.reopenings = reopenings.load(ordering: .relaxed)
        snapshot.commitCounts = commits.snapshot()
        return snapshot
    }
}

/// How many commits there were, and how long they took.
struct CommitCounters: ~Copyable {
    private let count = Atomic<UInt64>(0)
    private let last = Atomic<UInt64>(0)
    private let maximum = Atomic<UInt64>(0)

    func add(nanoseconds: UInt64) {
        count.count()
        last.store(nanoseconds, ordering: .relaxed)
        maximum.max(nanoseconds, ordering: .relaxed)
    }

    func snapshot() -> ChunkStoreStatistics.Commits {
        ChunkStoreStatistics.Commits(
            count: count.load(ordering: .relaxed), lastNanoseconds: last.load(ordering: .relaxed),
            maximumNanoseconds: maximum.load(ordering: .relaxed))
    }
}

extension Atomic where Value == UInt64 {
    func count(_ amount: UInt64 = 1) {
        wrappingAdd(amount, ordering: .relaxed)
    }
}
