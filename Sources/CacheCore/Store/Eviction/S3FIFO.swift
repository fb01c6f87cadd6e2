package import CacheChunks

/// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): new chunks go through a small
/// queue; only those that are read again in time reach the main queue. A scan passes through the small queue and leaves
/// the main one alone.
///
/// It decides and holds no queue. The queues are the owner's, oldest chunk first: those of the store are in LMDB, so
/// that all processes that share a store see the same ones, those of ``MemoryCache`` in memory. It keeps the ghosts:
/// which chunks were evicted last.
package struct S3FIFO: Sendable {
    /// Reads of a chunk are counted up to here.
    package static let maximumFrequency: UInt8 = 3
    /// The small queue's share of all bytes, as a divisor.
    private static let smallDivisor: UInt64 = 10

    private var ghost: GhostSet

    /// - Parameter ghosts: how many evicted chunks are remembered, at 8 bytes each.
    package init(ghosts: Int) {
        ghost = GhostSet(slots: ghosts)
    }

    /// The queue that a new chunk joins: the main one if its eviction is remembered.
    package mutating func admit(_ id: ChunkID) -> StoreQueue {
        ghost.remove(id) ? .main : .small
    }

    /// The queue whose oldest chunk is looked at next; one that is not empty unless both are.
    package func examine(_ occupancy: QueueOccupancy) -> StoreQueue {
        let total = occupancy.smallBytes &+ occupancy.mainBytes
        if occupancy.mainBytes == 0 { return .small }
        if occupancy.smallBytes == 0 { return .main }
        return occupancy.smallBytes >= total / Self.smallDivisor ? .small : .main
    }

    /// What becomes of the oldest chunk of `queue`, which was read `frequency` times (at most ``maximumFrequency``)
    /// since it was last kept.
    package mutating func judge(
        _ id: ChunkID, in queue: StoreQueue, frequency: UInt8, _ occupancy: QueueOccupancy
    ) -> EvictionVerdict {
        switch queue {
        case .small:
            // The paper asks for two reads here; a read counts once per image start in this store, so one says as much.
            if frequency > 0 { return .keep(.main, frequency: 0) }
            ghost.insert(id, window: occupancy.mainChunks)
            return .evict
        case .main:
            return frequency > 0 ? .keep(.main, frequency: frequency - 1) : .evict
        }
    }
}
