internal import CacheCore
internal import NIOCore

/// One shard of the memory tier: the eviction policy of the chunk store, over queues in memory.
struct MemoryShard {
    private struct Entry {
        let chunk: ByteBuffer
        let cost: Int
        var reads: UInt8 = 0
    }

    private struct Queue {
        var ids = CircularBuffer<ChunkID>()
        var bytes = 0
    }

    private let capacity: Int
    private var policy: S3FIFO
    private var entries: [ChunkID: Entry] = [:]
    private var small = Queue()
    private var main = Queue()
    private var evictions = 0

    init(capacity: Int) {
        self.capacity = capacity
        // As many names of evicted chunks as there can be chunks of an eighth of the largest size.
        policy = S3FIFO(ghosts: max(capacity * 8 / ChunkLimits.sealedBytes, 64))
    }

    var usage: MemoryTier.Usage {
        MemoryTier.Usage(chunks: entries.count, bytes: small.bytes + main.bytes, evictions: evictions)
    }

    mutating func find(_ id: ChunkID) -> ByteBuffer? {
        guard let index = entries.index(forKey: id) else { return nil }
        if entries.values[index].reads < S3FIFO.maximumFrequency { entries.values[index].reads += 1 }
        return entries.values[index].chunk
    }

    /// - Returns: what had to leave, for the caller to free once it holds no lock.
    mutating func insert(_ id: ChunkID, _ chunk: ByteBuffer) -> [ByteBuffer] {
        // A buffer's memory is what it was allocated with, not what is in it.
        let cost = chunk.storageCapacity
        guard cost <= capacity, entries[id] == nil else { return [] }
        entries[id] = Entry(chunk: chunk, cost: cost)
        append(id, cost, to: policy.admit(id))
        var evicted: [ByteBuffer] = []
        while small.bytes + main.bytes > capacity, let gone = advance() { evicted += gone }
        evictions += evicted.count
        return evicted
    }

    private var occupancy: QueueOccupancy {
        QueueOccupancy(
            smallBytes: UInt64(small.bytes), mainBytes: UInt64(main.bytes), mainChunks: UInt64(main.ids.count))
    }

    private mutating func append(_ id: ChunkID, _ cost: Int, to queue: StoreQueue) {
        switch queue {
        case .small:
            small.ids.append(id)
            small.bytes += cost
        case .main:
            main.ids.append(id)
            main.bytes += cost
        }
    }

    private mutating func popOldest(of queue: StoreQueue) -> (ChunkID, Entry)? {
        let id = queue == .small ? small.ids.popFirst() : main.ids.popFirst()
        guard let id, let entry = entries[id] else { return nil }
        if queue == .small { small.bytes -= entry.cost } else { main.bytes -= entry.cost }
        return (id, entry)
    }

    /// Lets the policy decide about one chunk.
    /// - Returns: the chunk if it leaves, nothing if it stays; `nil` if there is none to decide about.
    private mutating func advance() -> [ByteBuffer]? {
        let queue = policy.examine(occupancy)
        guard let (id, entry) = popOldest(of: queue) else { return nil }
        switch policy.judge(id, in: queue, frequency: entry.reads, occupancy) {
        case .evict:
            entries[id] = nil
            return [entry.chunk]
        case .keep(let queue, let frequency):
            entries[id]?.reads = frequency
            append(id, entry.cost, to: queue)
            return []
        }
    }
}
