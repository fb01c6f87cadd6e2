internal import CacheChunks
internal import NIOCore

/// One shard of ``MemoryCache``: the eviction policy of the chunk store, over queues in memory.
struct MemoryCacheShard<Key: MemoryCacheKey>: Sendable {
    private struct Entry {
        /// `nil` once it was removed: only its place in the queue is left, which costs nothing.
        var bytes: ByteBuffer?
        var cost: Int
        var queue: StoreQueue
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
    /// Entries that were removed and still have their place in a queue.
    private var removed = 0

    init(capacity: Int) {
        self.capacity = capacity
        // As many names of evicted chunks as there can be chunks of an eighth of the largest size.
        policy = S3FIFO(ghosts: max(capacity * 8 / ChunkLimits.plainBytes, 64))
    }

    var usage: MemoryCacheUsage {
        MemoryCacheUsage(chunks: entries.count - removed, bytes: small.bytes + main.bytes, evictions: evictions)
    }

    func contains(_ key: Key) -> Bool { entries[key]?.bytes != nil }

    func peek(_ key: Key) -> ByteBuffer? { entries[key]?.bytes }

    mutating func get(_ key: Key) -> ByteBuffer? {
        guard let index = entries.index(forKey: key), entries.values[index].bytes != nil else { return nil }
        if entries.values[index].reads < S3FIFO.maximumFrequency { entries.values[index].reads += 1 }
        return entries.values[index].bytes
    }

    /// Keeps a chunk, unless it is there or larger than the shard.
    /// - Parameter replacing: whether it takes the place of the bytes that are there.
    /// - Returns: the buffers that left for it, for the caller to free once it holds no lock.
    mutating func insert(_ key: Key, _ bytes: ByteBuffer, replacing: Bool) -> [ByteBuffer] {
        // A buffer's memory is what it was allocated with, not what is in it.
        let cost = bytes.storageCapacity
        guard cost <= capacity else { return [] }
        var leaving: [ByteBuffer] = []
        if let old = entries[key] {
            guard replacing || old.bytes == nil else { return [] }
            if let bytes = old.bytes { leaving.append(bytes) } else { removed -= 1 }
            set(bytes, cost: cost, for: key)
        } else {
            let queue = policy.admit(key.chunkID)
            entries[key] = Entry(bytes: bytes, cost: cost, queue: queue)
            append(key, cost, to: queue)
        }
        while small.bytes + main.bytes > capacity, let gone = advance() {
            evictions += gone.count
            leaving += gone
        }
        return leaving
    }

    /// Forgets the bytes of a chunk; returns them for the caller to free once it holds no lock.
    mutating func remove(_ key: Key) -> ByteBuffer? {
        guard let bytes = entries[key]?.bytes else { return nil }
        set(nil, cost: 0, for: key)
        removed += 1
        return bytes
    }

    /// Changes what an entry holds and its queue counts; its place stays.
    private mutating func set(_ bytes: ByteBuffer?, cost: Int, for key: Key) {
        guard let entry = entries[key] else { return }
        if entry.queue == .small { small.bytes += cost - entry.cost } else { main.bytes += cost - entry.cost }
        entries[key]?.bytes = bytes
        entries[key]?.cost = cost
    }

    /// The chunks that are here, in no order.
    var keys: [Key] { entries.compactMap { $0.value.bytes == nil ? nil : $0.key } }

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
        guard let bytes = entry.bytes else {
            entries[key] = nil
            removed -= 1
            return []
        }
        switch policy.judge(key.chunkID, in: queue, frequency: entry.reads, occupancy) {
        case .evict:
            entries[key] = nil
            return [bytes]
        case .keep(let queue, let frequency):
            entries[key]?.reads = frequency
            entries[key]?.queue = queue
            append(key, entry.cost, to: queue)
            return []
        }
    }
}
