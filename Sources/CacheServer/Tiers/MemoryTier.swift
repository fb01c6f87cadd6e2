internal import CacheChunks
internal import CacheFiles
internal import CacheStore
internal import NIOCore
internal import Synchronization

/// The memory tier: sealed chunks in memory. Now and then it has the allocator give free pages back to the system.
///
/// Chunks are verified before they are inserted and never change, so a hit needs no check.
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

    func holds(_ id: ChunkID) -> Bool { cache.peek(id) != nil }

    /// Keeps a chunk and evicts others if there is no room for it. Call it from a thread that may block.
    func insert(_ id: ChunkID, _ chunk: ByteBuffer) {
        cache.insert(id, chunk)
        let left = untrimmed.wrappingSubtract(chunk.storageCapacity, ordering: .relaxed).newValue
        if left <= 0, untrimmed.compareExchange(expected: left, desired: trimInterval, ordering: .relaxed).exchanged {
            Allocator.returnFreePages()
        }
    }

    var usage: MemoryCacheUsage { cache.usage }
}
