internal import CacheChunks
internal import CacheFiles
internal import CacheStore
internal import NIOCore
internal import Synchronization

/// The memory tier: sealed chunks in memory. Now and then it has the allocator give free pages back to the system.
///
/// A chunk that was put is verified; one that came out of the store is what the store had, and who asked for it checks
/// it. Both may be examined later.
final class MemoryTier: Sendable {
    private let cache: MemoryCache<ChunkID>
    /// Bytes that may still come in before free pages are given back. What lies in ``PieceMemory`` does not count: the
    /// allocator never had it.
    private let untrimmed: Atomic<Int>
    private static let trimInterval = 32 << 20

    /// - Parameter capacity: bytes of all chunks together, as they lie in memory; 0 keeps none.
    init(capacity: Int) {
        cache = MemoryCache(capacity: capacity)
        untrimmed = Atomic(Self.trimInterval)
    }

    func chunk(_ id: ChunkID) -> ByteBuffer? { cache.get(id) }

    func holds(_ id: ChunkID) -> Bool { cache.peek(id) != nil }

    /// Keeps a chunk and evicts others if there is no room for it. Call it from a thread that may block.
    /// - Parameter isVerified: it takes the place of a copy that is here, which may be damaged.
    func insert(_ id: ChunkID, _ chunk: ByteBuffer, isVerified: Bool) {
        cache.insert(id, chunk, replacing: isVerified)
        if chunk.storageCapacity == PieceMemory.pieceBytes { return }
        let left = untrimmed.wrappingSubtract(chunk.storageCapacity, ordering: .relaxed).newValue
        let isDue = left <= 0
        if isDue, untrimmed.compareExchange(expected: left, desired: Self.trimInterval, ordering: .relaxed).exchanged {
            Allocator.returnFreePages()
        }
    }

    func forget(_ id: ChunkID) { cache.remove(id) }

    /// Checks a copy against its name, and forgets it if it is damaged. Counts as no use; 0.3 ms for 512 KiB.
    func examine(_ id: ChunkID) -> StoredChunk {
        guard let chunk = cache.peek(id) else { return .absent }
        if chunk.withUnsafeReadableBytes({ ChunkID(ofSealed: $0) }) == id { return .sound(bytes: chunk.readableBytes) }
        cache.remove(id)
        return .dropped
    }

    /// What is here now, in no order.
    var ids: [ChunkID] { cache.keys }

    var usage: MemoryCacheUsage { cache.usage }
}
