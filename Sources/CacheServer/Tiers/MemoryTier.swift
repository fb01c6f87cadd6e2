internal import CacheChunks
internal import CacheFiles
internal import CacheStore
internal import NIOCore
internal import Synchronization

/// Sealed chunks in memory, and the allocator's free pages given back now and then.
///
/// Chunks are verified before they come in and never change, so a hit is served as it is.
final class MemoryTier: Sendable {
    private let cache: MemoryCache<ChunkID>
    /// Bytes that may still come in before free pages are given back.
    private let untrimmed: Atomic<Int>
    private let trimInterval: Int

    /// - Parameter capacity: bytes of all chunks together, as they lie in memory; 0 keeps none.
    init(capacity: Int) {
        cache = MemoryCache(capacity: capacity)
        trimInterval = max(capacity, 64 << 20)
        untrimmed = Atomic(trimInterval)
    }

    func chunk(_ id: ChunkID) -> ByteBuffer? { cache.get(id) }

    /// Keeps a chunk, and lets others go for it. Call it from a thread that may wait.
    func insert(_ id: ChunkID, _ chunk: ByteBuffer) {
        cache.insert(id, chunk)
        let left = untrimmed.wrappingSubtract(chunk.storageCapacity, ordering: .relaxed).newValue
        if left <= 0, untrimmed.compareExchange(expected: left, desired: trimInterval, ordering: .relaxed).exchanged {
            Allocator.returnFreePages()
        }
    }

    var usage: MemoryCacheUsage { cache.usage }
}
