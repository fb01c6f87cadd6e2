internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Sealed chunks in memory, at most so many bytes of them, evicted by S3-FIFO.
///
/// Chunks are verified before they come in and never change, so a hit is served as it is. The tier is cut into shards by id, each
/// with a lock that is held for one dictionary look-up; a hit allocates and copies nothing.
final class MemoryTier: Sendable {
    private let shards: [NIOLockedValueBox<MemoryShard>]
    /// Bytes that may still come in before free pages are given back.
    private let untrimmed: Synchronization.Atomic<Int>
    private let trimInterval: Int

    /// What the tier holds and has dropped.
    struct Usage: Sendable {
        var chunks = 0
        var bytes = 0
        var evictions = 0
    }

    /// - Parameter capacity: bytes of all chunks together, as they lie in memory; 0 keeps none.
    init(capacity: Int) {
        // A shard that holds but a few chunks evicts badly: 64 at least.
        let count = min(max(capacity / (64 * ChunkLimits.sealedBytes), 1), 16)
        trimInterval = max(capacity, 64 << 20)
        untrimmed = Synchronization.Atomic(trimInterval)
        shards = (0..<count).map { _ in NIOLockedValueBox(MemoryShard(capacity: capacity / count)) }
    }

    private func shard(_ id: ChunkID) -> NIOLockedValueBox<MemoryShard> {
        shards[id.digest.withUnsafeBytes { Int($0[31]) } % shards.count]
    }

    func chunk(_ id: ChunkID) -> ByteBuffer? {
        shard(id).withLockedValue { $0.find(id) }
    }

    /// Keeps a chunk, and lets others go for it. Call it from a thread that may wait.
    func insert(_ id: ChunkID, _ chunk: ByteBuffer) {
        let evicted = shard(id).withLockedValue { $0.insert(id, chunk) }
        // Freed here, after the lock.
        _ = consume evicted
        let left = untrimmed.wrappingSubtract(chunk.storageCapacity, ordering: .relaxed).newValue
        if left <= 0, untrimmed.compareExchange(expected: left, desired: trimInterval, ordering: .relaxed).exchanged {
            Allocator.returnFreePages()
        }
    }

    var usage: Usage {
        shards.reduce(into: Usage()) { sum, shard in
            let usage = shard.withLockedValue { $0.usage }
            sum.chunks += usage.chunks
            sum.bytes += usage.bytes
            sum.evictions += usage.evictions
        }
    }
}
