public import CacheChunks
public import CacheCrypto

/// What a splitter knows once it has seen the last byte.
public struct LayerSummary: Sendable, Equatable {
    /// SHA-256 of all bytes of the source: OCI's `diffID` for a tar.
    public var diffID = SHA256Digest.zero
    /// Bytes of the source.
    public var byteCount: UInt64 = 0
    /// Entries in the entry table.
    public var entryCount = 0
    /// Chunks in each stream, indexed by the stream's raw value; every slot below has been handed out exactly once.
    public var slots = [0, 0, 0]

    /// Chunks in one stream.
    public func slots(in stream: LayerStream) -> Int { slots[Int(stream.rawValue)] }
}
