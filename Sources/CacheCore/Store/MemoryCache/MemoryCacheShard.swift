internal import CacheChunks
internal import NIOCore

/// One shard of ``MemoryCache``: the eviction policy of the chunk store, over queues in memory.
struct MemoryCacheShard<Key: MemoryCacheKey>: Sendable {
    private struct Entry {
        let bytes: ByteBuffer
        let cost: Int
        var reads: UInt8 = 0
    }

    private struct Queue {
        var keys = CircularBuffer<Key>()
        var bytes = 0
    }

    private let capacity: Int
    private var policy: S3FIFO
    private var entries: [Key: Entry] = [:]
    private var small = Queue()
    private var main = Queue()
    private var evictions = 0

    init(capacity: Int) {
        self.capacity = capacity
        // As many names of evicted chunks as there can be chunks of an eighth of the largest size.
        policy = S3FIFO(ghosts: max(capacity * 8 / ChunkLimits.plainBytes, 64))
    }

    var usage: MemoryCacheUsage {
        MemoryCacheUsage(chunks: entries.count, bytes: small.bytes + main.bytes, evictions: evictions)
    }

    func contains(_ key: Key) -> Bool { entries[key] != nil }

    func peek(_ key: Key) -> ByteBuffer? { entries[key]?.bytes }

    mutating func get(_ key: Key) -> ByteBuffer? {
        guard let index = entries.index(forKey: key) else { return nil }
        if entries.values[index].reads < S3FIFO.maximumFrequency { entries.values[index].reads += 1 }
        return entries.values[index].bytes
    }

    /// Keeps a chunk, unless it is there or larger than the shard.
    /// - Returns: the buffers that were evicted for it, for the caller to free once it holds no lock.
    mutating func insert(_ key: Key, _ bytes: ByteBuffer) -> [ByteBuffer] {
        // A buffer's memory is what it was allocated with, not what is in it.
        let cost = bytes.storageCapacity
        guard cost <= capacity, entries[key] == nil else { return [] }
        entries[key] = Entry(bytes: bytes, cost: cost)
        append(key, cost, to: policy.admit(key.chunkID))
        var evicted: [ByteBuffer] = []
        while small.bytes + main.bytes > capacity, let gone = advance() { evicted += gone }
        evictions += evicted.count
        return evicted
    }

    private var occupancy: QueueOccupancy {
        QueueOccupancy(
            smallBytes: UInt64(small.bytes), mainBytes: UInt64(main.bytes), mainChunks: UInt64(main.keys.count))
    }

    private mutating func append(_ key: Key, _ cost: Int, to queue: StoreQueue) {
        switch queue {
        case .small:
            small.keys.append(key)
            small.bytes += cost
        case .main:
            main.keys.append(key)
            main.bytes += cost
        }
    }

    private mutating func popOldest(of queue: StoreQueue) -> (Key, Entry)? {
        let key = queue == .small ? small.keys.popFirst() : main.keys.popFirst()
        guard let key, let entry = entries[key] else { return nil }
        if queue == .small { small.bytes -= entry.cost } else { main.bytes -= entry.cost }
        return (key, entry)
    }

    /// Lets the policy decide about one chunk.
    /// - Returns: the chunk if it leaves, nothing if it stays; `nil` if there is none to decide about.
    private mutating func advance() -> [ByteBuffer]? {
        let queue = policy.examine(occupancy)
        guard let (key, entry) = popOldest(of: queue) else { return nil }
        switch policy.judge(key.chunkID, in: queue, frequency: entry.reads, occupancy) {
        case .evict:
            entries[key] = nil
            return [entry.bytes]
        case .keep(let queue, let frequency):
            entries[key]?.reads = frequency
            append(key, entry.cost, to: queue)
            return []
        }
    }
}
