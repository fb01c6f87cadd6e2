internal import CacheChunks
internal import NIOCore

/// The chunks that were stored last. A read of the store may have missed a chunk just before it was stored: whoever
/// asks for a lease of such a chunk looks again instead.
struct RecentFills: Sendable {
    private var ids: Set<ChunkID> = []
    private var order = CircularBuffer<ChunkID>()
    private let limit: Int

    /// - Parameter limit: how many are remembered: more than can be stored while one read waits for its thread.
    init(limit: Int = 4_096) {
        self.limit = limit
    }

    mutating func insert(_ id: ChunkID) {
        guard ids.insert(id).inserted else { return }
        order.append(id)
        if order.count > limit, let oldest = order.popFirst() { ids.remove(oldest) }
    }

    func contains(_ id: ChunkID) -> Bool { ids.contains(id) }
}
