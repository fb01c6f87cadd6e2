internal import Synchronization

/// What a chunk store holds and did since it was opened by this process.
public struct ChunkStoreStatistics: Sendable, Equatable {
    public internal(set) var chunks = UInt64(0)
    /// What the chunks take on disk, padding and index included.
    public internal(set) var bytesUsed = UInt64(0)
    /// The lengths of the sealed chunks together.
    public internal(set) var sealedBytes = UInt64(0)
    /// The bound that the store's files never pass.
    public internal(set) var capacity = UInt64(0)
    public internal(set) var hits = UInt64(0)
    public internal(set) var misses = UInt64(0)
    /// Chunks that were stored (not those that were here already).
    public internal(set) var puts = UInt64(0)
    public internal(set) var bytesPut = UInt64(0)
    public internal(set) var evictions = UInt64(0)
    /// Chunks whose bytes were not what their name says, and which were dropped.
    public internal(set) var corruptDropped = UInt64(0)
    /// Times that the store was found damaged, or made by another version, and started empty.
    public internal(set) var resets = UInt64(0)
    /// Times that the files were closed, checked and opened again while the store was in use.
    public internal(set) var reopenings = UInt64(0)
    /// Chunks that were not stored because the queue or the disk was full or the store was out of order.
    public internal(set) var writesRefused = UInt64(0)
    /// Chunks that came back soon after their eviction.
    public internal(set) var ghostHits = UInt64(0)
    public internal(set) var commits = UInt64(0)
    public internal(set) var lastCommitNanoseconds = UInt64(0)
    public internal(set) var maximumCommitNanoseconds = UInt64(0)
    /// Sealed bytes that wait for their commit.
    public internal(set) var queuedBytes = UInt64(0)
}

/// The counters behind ``ChunkStoreStatistics``.
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
    let ghostHits = Atomic<UInt64>(0)
    let commits = Atomic<UInt64>(0)
    let lastCommit = Atomic<UInt64>(0)
    let maximumCommit = Atomic<UInt64>(0)

    func committed(nanoseconds: UInt64) {
        commits.count()
        lastCommit.store(nanoseconds, ordering: .relaxed)
        maximumCommit.max(nanoseconds, ordering: .relaxed)
    }

    func snapshot() -> ChunkStoreStatistics {
        var snapshot = ChunkStoreStatistics()
        snapshot.hits = hits.load(ordering: .relaxed)
        snapshot.misses = misses.load(ordering: .relaxed)
        snapshot.puts = puts.load(ordering: .relaxed)
        snapshot.bytesPut = bytesPut.load(ordering: .relaxed)
        snapshot.evictions = evictions.load(ordering: .relaxed)
        snapshot.corruptDropped = corruptDropped.load(ordering: .relaxed)
        snapshot.resets = resets.load(ordering: .relaxed)
        snapshot.reopenings = reopenings.load(ordering: .relaxed)
        snapshot.writesRefused = writesRefused.load(ordering: .relaxed)
        snapshot.ghostHits = ghostHits.load(ordering: .relaxed)
        snapshot.commits = commits.load(ordering: .relaxed)
        snapshot.lastCommitNanoseconds = lastCommit.load(ordering: .relaxed)
        snapshot.maximumCommitNanoseconds = maximumCommit.load(ordering: .relaxed)
        return snapshot
    }
}

extension Atomic where Value == UInt64 {
    func count(_ amount: UInt64 = 1) {
        wrappingAdd(amount, ordering: .relaxed)
    }
}
