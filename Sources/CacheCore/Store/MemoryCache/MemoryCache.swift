public import CacheChunks
internal import CacheCrypto
internal import NIOConcurrencyHelpers
package import NIOCore

/// The key of a chunk in a ``MemoryCache``, with the chunk's name, by which shards are chosen and evicted chunks
/// remembered.
package protocol MemoryCacheKey: Hashable, Sendable {
    var chunkID: ChunkID { get }
}

/// Sealed chunks go by their name.
extension ChunkID: MemoryCacheKey {
    package var chunkID: ChunkID { self }
}

/// The key of plaintext is the whole reference, chunk key included. A reader without the chunk's key cannot find the
/// plaintext in memory, and a manifest that gives a wrong key for a name has an entry of its own instead of replacing
/// the right one.
extension ChunkRef: MemoryCacheKey {
    package var chunkID: ChunkID { id }
}

/// What a ``MemoryCache`` holds and has dropped.
package struct MemoryCacheUsage: Sendable {
    package var chunks = 0
    package var bytes = 0
    package var evictions = 0
}

/// Chunks in memory, bounded by the bytes that their buffers take: plaintext above L1, sealed chunks above L2's store.
///
/// Cut into shards by name, each under a lock that is held for one look-up; a hit allocates and copies nothing.
/// Eviction is that of the chunk store, S3-FIFO (Yang et al., SOSP 2023): one scan does not flush what is read again. A
/// buffer that was evicted lives on for as long as a reader holds it.
package final class MemoryCache<Key: MemoryCacheKey>: Sendable {
    private let shards: [NIOLockedValueBox<MemoryCacheShard<Key, ByteBuffer>>]

    /// - Parameter capacity: bytes of all chunks together; 0 keeps nothing.
    package init(capacity: Int) {
        let capacity = max(capacity, 0)
        // A shard that holds but a few chunks evicts badly: 64 at least.
        let count = min(max(capacity / (64 * ChunkLimits.plainBytes), 1), 16)
        let share = capacity / count
        // As many as fit if they have an eighth of the largest size.
        let chunks = share * 8 / ChunkLimits.plainBytes
        shards = (0..<count).map { _ in NIOLockedValueBox(MemoryCacheShard(capacity: share, chunks: chunks)) }
    }

    /// The chunk, counted as read; `nil` if it is not in memory.
    @specialized(where Key == ChunkID)
    package func get(_ key: Key) -> ByteBuffer? {
        shard(of: key).withLockedValue { $0.get(key) }
    }

    /// The chunk, not counted: for a read that belongs to one that was.
    package func peek(_ key: Key) -> ByteBuffer? {
        shard(of: key).withLockedValue { $0.peek(key) }
    }

    /// Whether the chunk is in memory; counts nothing.
    package func contains(_ key: Key) -> Bool {
        shard(of: key).withLockedValue { $0.contains(key) }
    }

    /// Keeps the chunk and lets others go for it. One that is larger than its shard's share is not kept.
    /// - Parameter replacing: whether it takes the place of the bytes that are there under that key.
    package func insert(_ key: Key, _ bytes: ByteBuffer, replacing: Bool = false) {
        let evicted = shard(of: key).withLockedValue {
            // A buffer's memory is what it was allocated with, not what is in it.
            $0.insert(key, bytes, cost: bytes.storageCapacity, replacing: replacing)
        }
        // Freed here, after the lock.
        _ = consume evicted
    }

    /// Forgets a chunk.
    package func remove(_ key: Key) {
        let removed = shard(of: key).withLockedValue { $0.remove(key) }
        _ = consume removed
    }

    /// The chunks that are here, in no order: of one shard after the other.
    package var keys: [Key] { shards.flatMap { shard in shard.withLockedValue { $0.keys } } }

    package var usage: MemoryCacheUsage {
        shards.reduce(into: MemoryCacheUsage()) { sum, shard in
            let usage = shard.withLockedValue { $0.usage }
            sum.chunks += usage.chunks
            sum.bytes += usage.bytes
            sum.evictions += usage.evictions
        }
    }

    private func shard(of key: Key) -> NIOLockedValueBox<MemoryCacheShard<Key, ByteBuffer>> {
        shards[key.chunkID.digest.withUnsafeBytes { Int($0[31]) } % shards.count]
    }
}
