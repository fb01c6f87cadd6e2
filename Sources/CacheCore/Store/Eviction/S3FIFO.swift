package import CacheChunks

/// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023) whose main queue is guarded by
/// frequency, as in TinyLFU (Einziger, Friedman, Manes, TOS 2017): docs/decisions/0033-eviction-on-evidence.md has what
/// led there.
///
/// New chunks go through a small queue; those that are read there reach the main queue. One that was asked for before
/// challenges main's oldest when it comes in, and has their room only if it was asked for more often than each of them.
/// So a scan passes through the small queue, and of a cycle that is larger than the cache, what is in main stays and is
/// hit, where everything would leave just before it is asked for.
///
/// It decides and holds no queue. The queues are the owner's, oldest chunk first: those of the store are in LMDB, so
/// that all processes that share a store see the same ones, those of ``MemoryCache`` in memory. How often chunks were
/// asked for it counts itself, in memory. For each chunk that comes in: ``arrival(of:bytes:_:)``, then
/// ``examine(_:for:)`` and ``judge(_:in:frequency:for:)`` until there is room, then ``admit(_:_:)``.
package struct S3FIFO: Sendable {
    /// Reads of a chunk that is here are counted up to here.
    package static let maximumFrequency: UInt8 = 3
    /// The small queue's share of all bytes, as a divisor: it gives chunks up down to the first, and takes new ones up
    /// to the second. The gap between them keeps a full store from filling main with what is new.
    private static let smallDivisor: UInt64 = 100
    private static let fillDivisor: UInt64 = 50
    /// By how much a challenger must have been asked for more often. It has just been, and main's oldest is about to
    /// be if both are of one cycle: one more says nothing.
    private static let margin: UInt8 = 1
    /// In a process that has not seen much yet, chunks that are not known challenge main all the same, for what was
    /// known has ended with the process before: one for so many chunks that are here. A chunk of main that is read once
    /// in each process, as in a cycle, then loses less than it gains.
    private static let chunksPerTrial: UInt64 = 2
    /// And not before so many of them came one after the other: where a cycle begins with one that has left, the place
    /// of the next would be taken, and of the next, just before they are asked for.
    private static let strangersBeforeTrial = 4
    /// Reads a chunk that is here, after which all counts are halved.
    private static let halvingReads: UInt64 = 10
    private static let countersPerChunk = 16

    private var sketch: FrequencySketch
    private var trials: UInt64 = 0
    /// Chunks that were not known, since the last read of one that is here.
    private var strangers = 0

    /// - Parameter chunks: how many the owner may hold; each costs 16 bytes, 8 MiB at most.
    package init(chunks: Int) {
        sketch = FrequencySketch(counters: max(chunks, 0).multipliedReportingOverflow(by: Self.countersPerChunk).0)
    }

    /// Notes reads of a chunk that is here.
    package mutating func note(_ id: ChunkID, reads: UInt8, _ occupancy: QueueOccupancy) {
        if reads == 0 { return }
        strangers = 0
        count(id, reads, occupancy)
    }

    private mutating func count(_ id: ChunkID, _ reads: UInt8, _ occupancy: QueueOccupancy) {
        sketch.add(id, reads, period: Self.halvingReads * max(occupancy.chunks, 64))
    }

    /// How a chunk of `bytes` that is not here comes in. Counts as a read of it.
    package mutating func arrival(of id: ChunkID, bytes: UInt64, _ occupancy: QueueOccupancy) -> Arrival {
        count(id, 1, occupancy)
        var arrival = Arrival()
        arrival.bytes = bytes
        arrival.frequency = sketch.estimate(id)
        if arrival.isReturning {
            arrival.standing = .challenger
        } else if sketch.isYoung {
            strangers += 1
            if strangers > Self.strangersBeforeTrial, trials < occupancy.chunks / Self.chunksPerTrial {
                trials += 1
                arrival.standing = .trial
            }
        }
        return arrival
    }

    /// The queue whose oldest chunk is looked at next; one that is not empty unless both are.
    package func examine(_ occupancy: QueueOccupancy, for arrival: Arrival) -> StoreQueue {
        if occupancy.mainBytes == 0 { return .small }
        if occupancy.smallBytes == 0 { return .main }
        if arrival.standing != .newcomer { return .main }
        // With what comes in: else the room for a large chunk would come from main each time.
        return occupancy.smallBytes &+ arrival.bytes >= occupancy.bytes / Self.smallDivisor ? .small : .main
    }

    /// What becomes of the oldest chunk of `queue`, which was read `frequency` times (at most ``maximumFrequency``)
    /// since it was last kept.
    package mutating func judge(
        _ id: ChunkID, in queue: StoreQueue, frequency: UInt8, for arrival: inout Arrival
    ) -> EvictionVerdict {
        // The paper asks for two reads here; a read counts once per image start in this store, so one says as much.
        if queue == .small { return frequency > 0 ? .keep(.main, frequency: 0) : .evict }
        // What was read in earlier processes is known of chunks that are here.
        let known = sketch.estimate(id)
        let isKept =
            switch arrival.standing {
            case .challenger: arrival.frequency <= max(known, frequency + 1) + Self.margin
            // What has come in or was read since this process began is no older than the newcomer.
            case .trial: frequency > 0 || known > 0
            case .newcomer: frequency > 0
            }
        arrival.hasWon = !isKept && arrival.standing != .newcomer
        if isKept { arrival.standing = .newcomer }
        return isKept ? .keep(.main, frequency: max(frequency, 1) - 1) : .evict
    }

    /// The queue that the chunk joins, now that there is room. While a store fills, what the small queue's share does
    /// not hold goes to main.
    package func admit(_ arrival: Arrival, _ occupancy: QueueOccupancy) -> StoreQueue {
        arrival.hasWon || occupancy.smallBytes > occupancy.bytes / Self.fillDivisor ? .main : .small
    }
}
