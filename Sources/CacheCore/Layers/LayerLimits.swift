internal import CacheBase

/// What a splitter takes from one layer before it gives up with ``CacheError/Code/limitExceeded``. Input is hostile
/// until parsed.
public struct LayerLimits: Sendable {
    /// The longest layer, uncompressed: 256 GiB.
    public var layerBytes: UInt64 = 256 << 30
    /// The most entries of one layer: 16 million.
    public var entries = 16 << 20
    /// The most bytes of extended headers (pax records, long names, sparse maps) that one entry may have: 1 MiB, which
    /// is also the most that can be set, as readers of the entry table refuse longer records.
    public var metadataBytes = Limit.metadataBytes.maximum {
        didSet { metadataBytes = min(metadataBytes, Limit.metadataBytes.maximum) }
    }
    /// The longest path and the longest link target of an entry: 64 KiB, which is also the most that can be set.
    public var pathBytes = Limit.pathBytes.maximum {
        didSet { pathBytes = min(pathBytes, Limit.pathBytes.maximum) }
    }

    public init() {}
}
