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
    /// Chunks that came back soon after their eviction.
    public internal(set) var ghostHits = UInt64(0)
    /// What was written.
    public internal(set) var writes = Writes()
    /// How many commits that took, and how long they took.
    public internal(set) var commits = Commits()
    /// What was found damaged.
    public internal(set) var faults = Faults()

    /// Chunks that were stored, were refused, or wait.
    public struct Writes: Sendable, Equatable {
        /// Chunks that were stored (not those that were here already).
        public internal(set) var puts = UInt64(0)
        /// Their sealed bytes.
        public internal(set) var bytesPut = UInt64(0)
        /// Chunks that were not stored because the queue or the disk was full or the store was out of order.
        public internal(set) var refused = UInt64(0)
        /// Sealed bytes that wait for their commit.
        public internal(set) var queuedBytes = UInt64(0)
    }

    /// Commits that changed anything, and their duration.
    public struct Commits: Sendable, Equatable {
        /// How many there were.
        public internal(set) var count = UInt64(0)
        /// What the last one took.
        public internal(set) var lastNanoseconds = UInt64(0)
        /// What the longest one took.
        public internal(set) var maximumNanoseconds = UInt64(0)
    }

    /// Damage that was found.
    public struct Faults: Sendable, Equatable {
        /// Chunks whose bytes were not what their name says, and which were dropped.
        public internal(set) var corruptDropped = UInt64(0)
        /// Times that the store was found damaged, or made by another version, and started empty.
        public internal(set) var resets = UInt64(0)
        /// Times that the files were closed, checked and opened again while the store was in use.
        public internal(set) var reopenings = UInt64(0)
    }
}
