package import CacheChunks

/// Decides which chunks a full store gives up. Pure decisions: the queues themselves are kept by the store, in LMDB, in FIFO
/// order, so that all processes that share a store see the same ones.
package protocol EvictionPolicy: Sendable {
    /// The queue that a new chunk joins.
    mutating func admit(_ id: ChunkID) -> StoreQueue
    /// The queue whose oldest chunk is looked at next; one that is not empty unless both are.
    func examine(_ occupancy: QueueOccupancy) -> StoreQueue
    /// What becomes of the oldest chunk of `queue`, which was read `frequency` times (0 to 3) since it was last kept.
    mutating func judge(
        _ id: ChunkID, in queue: StoreQueue, frequency: UInt8, _ occupancy: QueueOccupancy
    ) -> EvictionVerdict
}

package enum EvictionVerdict: Equatable, Sendable {
    case evict
    /// It becomes the newest of `queue`.
    case keep(StoreQueue, frequency: UInt8)
}

/// What the queues hold at the moment of a decision.
package struct QueueOccupancy: Sendable {
    package var smallBytes: UInt64
    package var mainBytes: UInt64
    package var mainChunks: UInt64

    package init(smallBytes: UInt64, mainBytes: UInt64, mainChunks: UInt64) {
        self.smallBytes = smallBytes
        self.mainBytes = mainBytes
        self.mainChunks = mainChunks
    }
}
