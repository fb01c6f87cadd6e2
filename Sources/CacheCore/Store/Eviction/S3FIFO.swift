package import CacheChunks

/// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023) with an admission of our own
/// (docs/decisions/0033-eviction-on-evidence.md): new chunks go through a small queue; only those that are read again
/// in time, or come back soon after their eviction, reach the main queue. A scan passes through the small queue and
/// leaves the main one alone.
///
/// A chunk that comes back does not push its way into the main queue: it challenges the oldest one there, once, and
/// has its place only if that one was not read since it was looked at last. So of a cycle that is larger than the
/// cache, what is in the main queue stays and is hit, where everything would leave just before it is asked for.
///
/// It decides and holds no queue. The queues are the owner's, oldest chunk first: those of the store are in LMDB, so
/// that all processes that share a store see the same ones, those of ``MemoryCache`` in memory. It keeps the ghosts:
/// which chunks were evicted last. For each chunk that comes in: ``arrival(of:)``, then ``examine(_:for:)`` and
/// ``judge(_:in:frequency:_:for:)`` until there is room, then ``admit(_:_:_:)``.
package struct S3FIFO: Sendable {
    /// Reads of a chunk are counted up to here.
    package static let maximumFrequency: UInt8 = 3
    /// The small queue's share of all bytes, as a divisor: it gives chunks up down to the first, and takes new ones up
    /// to the second. The gap between them keeps a full store from filling main with what is new.
    private static let smallDivisor: UInt64 = 10
    private static let fillDivisor: UInt64 = 9
    /// One in so many chunks that are not remembered challenges main all the same: ghosts end with the process, and
    /// reach only so far back.
    private static let trialInterval: UInt32 = 16

    private var ghost: GhostSet
    private var arrivals: UInt32 = 0

    /// - Parameter ghosts: how many evicted chunks are remembered, at 8 bytes each.
    package init(ghosts: Int) {
        ghost = GhostSet(slots: ghosts)
    }

    /// How a chunk that is not here comes in.
    package mutating func arrival(of id: ChunkID) -> Arrival {
        arrivals &+= 1
        var arrival = Arrival()
        arrival.isReturning = ghost.contains(id)
        if arrival.isReturning || arrivals % Self.trialInterval == 0 { arrival.standing = .challenger }
        return arrival
    }

    /// The queue whose oldest chunk is looked at next; one that is not empty unless both are.
    package func examine(_ occupancy: QueueOccupancy, for arrival: Arrival) -> StoreQueue {
        if occupancy.mainBytes == 0 { return .small }
        if occupancy.smallBytes == 0 || arrival.standing == .challenger { return .main }
        return occupancy.smallBytes >= occupancy.bytes / Self.smallDivisor ? .small : .main
    }

    /// What becomes of the oldest chunk of `queue`, which was read `frequency` times (at most ``maximumFrequency``)
    /// since it was last kept.
    package mutating func judge(
        _ id: ChunkID, in queue: StoreQueue, frequency: UInt8, _ occupancy: QueueOccupancy, for arrival: inout Arrival
    ) -> EvictionVerdict {
        switch queue {
        case .small:
            // The paper asks for two reads here; a read counts once per image start in this store, so one says as much.
            if frequency > 0 { return .keep(.main, frequency: 0) }
            ghost.insert(id, window: occupancy.mainChunks)
            return .evict
        case .main:
            if arrival.standing == .challenger { arrival.standing = frequency > 0 ? .loser : .winner }
            return frequency > 0 ? .keep(.main, frequency: frequency - 1) : .evict
        }
    }

    /// The queue that the chunk joins, now that there is room. While a store fills, what the small queue's share does
    /// not hold goes to main.
    package mutating func admit(_ id: ChunkID, _ arrival: Arrival, _ occupancy: QueueOccupancy) -> StoreQueue {
        if arrival.isReturning { ghost.remove(id) }
        return switch arrival.standing {
        case .challenger, .winner: .main
        case .newcomer, .loser: occupancy.smallBytes > occupancy.bytes / Self.fillDivisor ? .main : .small
        }
    }
}
