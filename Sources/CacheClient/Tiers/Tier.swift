/// Where a chunk came from, in the order in which the tiers are asked.
public enum Tier: String, Sendable, CaseIterable, Codable {
    /// Decoded chunks in this process.
    case memory
    /// The LMDB store of this host.
    case l1
    /// The shared cache daemon.
    case l2
    /// The object store.
    case l3
}

/// How many chunks and bytes one tier delivered: sealed bytes, but plaintext for ``Tier/memory``.
public struct TierCount: Sendable, Hashable, Codable {
    /// Chunks that the tier delivered, each time that it did.
    public var chunks: Int
    /// Their bytes.
    public var bytes: Int

    /// Nothing, unless it is said.
    public init(chunks: Int = 0, bytes: Int = 0) {
        self.chunks = chunks
        self.bytes = bytes
    }
}

/// What the tiers delivered and what was repaired on the way, since an image was opened or a cache was.
public struct ReadCounts: Sendable, Hashable {
    /// Chunks that were decoded already, those that another reader was fetching included.
    public var memory = TierCount()
    /// Chunks from this host's disk.
    public var l1 = TierCount()
    /// Chunks from the daemons.
    public var l2 = TierCount()
    /// Chunks from the object store.
    public var l3 = TierCount()
    /// Zero chunks, which no tier had to deliver.
    public var zeroChunks = 0
    /// Damaged chunks that were dropped from L1 and fetched again from below.
    public var repairedL1 = 0
    /// Damaged chunks of L2 that were replaced from L3.
    public var repairedL2 = 0
    /// Times that L2 was passed over: no answer in time, an error, or its circuit breaker was open.
    public var l2Failures = 0
    /// Times that L1 could not be read and the next tier was asked.
    public var l1Failures = 0

    /// All zero.
    public init() {}

    /// What one tier delivered.
    public subscript(tier: Tier) -> TierCount {
        switch tier {
        case .memory: memory
        case .l1: l1
        case .l2: l2
        case .l3: l3
        }
    }
}
