internal import NIOConcurrencyHelpers
public import NIOCore

/// Decoded chunks in memory, bounded by their bytes.
///
/// A chunk is found by all of its reference, not by its name alone: who does not have its key cannot read it here either, and a manifest
/// that gives a wrong key for a name can spoil nobody's chunk but its own.
///
/// Sharded by name, each shard under a lock that is held for well under a microsecond. Eviction is SIEVE (Zhang et al., NSDI 2024):
/// first in, first out, but what was asked for since the hand came by stays, so one scan does not flush what is read again and again.
/// A buffer that was evicted lives on for as long as a reader holds it.
public final class MemoryCache: Sendable {
    private let shards: [NIOLockedValueBox<MemoryCacheShard>]
    /// The most bytes that all shards hold together.
    public let capacity: Int

    /// - Parameter capacity: bytes; 0 keeps nothing.
    public init(capacity: Int) {
        self.capacity = max(capacity, 0)
        // A shard should hold many chunks of the largest size, or its share decides what stays.
        let count = min(max(self.capacity / (64 * ChunkLimits.plainBytes), 1), 16)
        shards = (0..<count).map { _ in NIOLockedValueBox(MemoryCacheShard(capacity: max(capacity, 0) / count)) }
    }

    /// The chunk, marked as asked for; `nil` if it is not in memory. Never blocks for long, copies nothing.
    public func get(_ ref: ChunkRef) -> ByteBuffer? {
        shard(of: ref).withLockedValue { $0.get(ref) }
    }

    /// Whether the chunk is in memory; marks nothing.
    public func contains(_ ref: ChunkRef) -> Bool {
        shard(of: ref).withLockedValue { $0.contains(ref) }
    }

    /// Keeps the chunk and evicts others for it. One that is larger than its shard's share is not kept.
    public func insert(_ ref: ChunkRef, _ bytes: ByteBuffer) {
        // What is evicted is freed after the lock is given back.
        _ = shard(of: ref).withLockedValue { $0.insert(ref, bytes) }
    }

    public func remove(_ ref: ChunkRef) {
        _ = shard(of: ref).withLockedValue { $0.remove(ref) }
    }

    /// Chunks and bytes held now, and how many were evicted so far.
    public var usage: (chunks: Int, bytes: Int, evictions: Int) {
        shards.reduce(into: (0, 0, 0)) { total, shard in
            let usage = shard.withLockedValue { ($0.count, $0.bytes, $0.evictions) }
            total = (total.0 + usage.0, total.1 + usage.1, total.2 + usage.2)
        }
    }

    private func shard(of ref: ChunkRef) -> NIOLockedValueBox<MemoryCacheShard> {
        shards[ref.id.digest.withUnsafeBytes { Int($0[31]) } % shards.count]
    }
}
