public import CacheChunks

/// What a cache with the eviction of ``ChunkStore`` would hit of a sequence of reads, without the chunks: for finding
/// out how large a cache should be, and what the policy is worth.
///
/// A read costs a look-up, and a decision of the policy for each chunk that leaves. Memory: about 150 bytes a chunk
/// that would be there.
public struct EvictionReplay: Sendable {
    private var shard: MemoryCacheShard<ChunkID, Void>

    /// - Parameters:
    ///   - capacity: in the unit of the sizes of ``read(_:size:)``.
    ///   - chunks: about how many chunks that holds.
    public init(capacity: Int, chunks: Int) {
        shard = MemoryCacheShard(capacity: max(capacity, 0), chunks: 2 * chunks)
    }

    /// Reads a chunk, and has it take its place if it was not there; one that is larger than the cache never is.
    /// - Returns: whether it was there.
    public mutating func read(_ id: ChunkID, size: Int) -> Bool {
        if shard.get(id) != nil { return true }
        _ = shard.insert(id, (), cost: size)
        return false
    }

    /// The sizes together of what is there now, in the unit of the capacity.
    public var size: Int { shard.usage.bytes }
    /// How many chunks are there now.
    public var chunks: Int { shard.usage.chunks }
}
