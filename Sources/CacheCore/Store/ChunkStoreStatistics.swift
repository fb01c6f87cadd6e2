/// What a chunk store holds and did since it was opened by this process.
public struct ChunkStoreStatistics: Sendable, Equatable {
    /// Chunks that are stored now.
    public internal(set) var chunks = UInt64(0)
    /// What the chunks take on disk, padding and index included.
    public internal(set) var bytesUsed = UInt64(0)
    /// The lengths of the sealed chunks together.
    public internal(set) var sealedBytes = UInt64(0)
    /// The bound in bytes that the store's files never pass.
    public internal(set) var capacity = UInt64(0)
    /// Reads that found their chunk.
    public internal(set) var hits = UInt64(0)
    /// Reads that did not.
    public internal(set) var misses = UInt64(0)
    /// Chunks that were given up to make room.
    public internal(set) var evictions = UInt64(0)
    /// What was written.
    package internal(set) var writes = Writes()
    /// How many commits that took, and how long they took.
    package internal(set) var commitCounts = Commits()
    /// What was found damaged.
    package internal(set) var faults = Faults()

    /// Chunks that were stored, were refused, or wait.
    package struct Writes: Sendable, Equatable {
        /// Chunks that were stored (not those that were here already).
        package internal(set) var puts = UInt64(0)
        /// Their sealed bytes.
        package internal(set) var bytesPut = UInt64(0)
        /// Those of them that had been asked for before, not long ago.
        package internal(set) var returning = UInt64(0)
        /// Chunks that were not stored because the queue or the disk was full or the store was out of order.
        package internal(set) var refused = UInt64(0)
        /// Sealed bytes that wait for their commit.
        package internal(set) var queuedBytes = UInt64(0)
    }

    /// Commits that changed anything, and their duration.
    package struct Commits: Sendable, Equatable {
        /// How many there were.
        package internal(set) var count = UInt64(0)
        /// What the last one took.
        package internal(set) var lastNanoseconds = UInt64(0)
        /// What the longest one took.
        package internal(set) var maximumNanoseconds = UInt64(0)
    }

    /// Damage that was found.
    package struct Faults: Sendable, Equatable {
        /// Chunks whose bytes were not what their name says, and which were dropped.
        package internal(set) var corruptDropped = UInt64(0)
        /// Times that the store was found damaged, or made by another version, and started empty.
        package internal(set) var resets = UInt64(0)
        /// Times that the files were closed, checked and opened again while the store was in use.
        package internal(set) var reopenings = UInt64(0)
    }
}

// MARK: - What users read

extension ChunkStoreStatistics {
    /// Chunks that were stored (not those that were here already).
    public var puts: UInt64 { writes.puts }
    /// Their sealed bytes.
    public var bytesPut: UInt64 { writes.bytesPut }
    /// Chunks that were not stored because the queue or the disk was full or the store was out of order.
    public var writesRefused: UInt64 { writes.refused }
    /// Sealed bytes that wait for their commit.
    public var queuedBytes: UInt64 { writes.queuedBytes }
    /// Commits that changed anything.
    public var commits: UInt64 { commitCounts.count }
    /// What the last one took.
    public var lastCommitNanoseconds: UInt64 { commitCounts.lastNanoseconds }
    /// What the longest one took.
    public var maximumCommitNanoseconds: UInt64 { commitCounts.maximumNanoseconds }
    /// Chunks whose bytes were not what their name says, and which were dropped.
    public var corruptDropped: UInt64 { faults.corruptDropped }
    /// Times that the store was found damaged, or made by another version, and started empty.
    public var resets: UInt64 { faults.resets }
    /// Times that the files were closed, checked and opened again while the store was in use.
    public var reopenings: UInt64 { faults.reopenings }
}
