internal import CacheChunks
internal import NIOCore

/// One shard of ``MemoryCache``: the eviction policy of the chunk store, over queues in memory.
struct MemoryCacheShard<Key: MemoryCacheKey, Value: Sendable>: Sendable {
    private struct Entry {
        /// `nil` once it was removed: only its place in the queue is left, which costs nothing.
        var value: Value?
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

    /// - Parameters:
    ///   - capacity: what all entries may cost together.
    ///   - chunks: how many there may be.
    init(capacity: Int, chunks: Int) {
        self.capacity = capacity
        policy = S3FIFO(chunks: chunks)
    }

    var usage: MemoryCacheUsage {
        MemoryCacheUsage(chunks: entries.count - removed, bytes: small.bytes + main.bytes, evictions: evictions)
    }

    func contains(_ key: Key) -> Bool { entries[key]?.value != nil }

    func peek(_ key: Key) -> Value? { entries[key]?.value }

    mutating func get(_ key: Key) -> Value? {
        guard let index = entries.index(forKey: key), entries.values[index].value != nil else { return nil }
        if entries.values[index].reads < S3FIFO.maximumFrequency { entries.values[index].reads += 1 }
        policy.note(key.chunkID, reads: 1, occupancy)
        return entries.values[index].value
    }

    /// Keeps a chunk, unless it is there or costs more than the capacity.
    /// - Parameter replacing: whether it takes the place of what is there.
    /// - Returns: what left for it, for the caller to free once it holds no lock.
    mutating func insert(_ key: Key, _ value: Value, cost: Int, replacing: Bool = false) -> [Value] {
        guard cost <= capacity else { return [] }
        var leaving: [Value] = []
        if let old = entries[key] {
            guard replacing || old.value == nil else { return [] }
            if let value = old.value { leaving.append(value) } else { removed -= 1 }
            set(value, cost: cost, for: key)
            var nobody = Arrival()
            makeRoom(for: 0, of: &nobody, &leaving)
        } else {
            var arrival = policy.arrival(of: key.chunkID, bytes: UInt64(cost), occupancy)
            makeRoom(for: cost, of: &arrival, &leaving)
            let queue = policy.admit(arrival, occupancy)
            entries[key] = Entry(value: value, cost: cost, queue: queue)
            append(key, cost, to: queue)
        }
        return leaving
    }

    /// Evicts until `cost` more fits.
    private mutating func makeRoom(for cost: Int, of arrival: inout Arrival, _ leaving: inout [Value]) {
        while small.bytes + main.bytes + cost > capacity, let gone = advance(for: &arrival) {
            evictions += gone.count
            leaving += gone
        }
    }

    /// Forgets a chunk; returns it for the caller to free once it holds no lock.
    mutating func remove(_ key: Key) -> Value? {
        guard let value = entries[key]?.value else { return nil }
        set(nil, cost: 0, for: key)
        removed += 1
        return value
    }

    /// Changes what an entry holds and its queue counts; its place stays.
    private mutating func set(_ value: Value?, cost: Int, for key: Key) {
        guard let entry = entries[key] else { return }
        if entry.queue == .small { small.bytes += cost - entry.cost } else { main.bytes += cost - entry.cost }
        entries[key]?.value = value
        entries[key]?.cost = cost
    }

    /// The chunks that are here, in no order.
    var keys: [Key] { entries.compactMap { $0.value.value == nil ? nil : $0.key } }

    private var occupancy: QueueOccupancy {
        QueueOccupancy(
            smallBytes: UInt64(small.bytes), mainBytes: UInt64(main.bytes), chunks: UInt64(entries.count - removed))
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
    private mutating func advance(for arrival: inout Arrival) -> [Value]? {
        let queue = policy.examine(occupancy, for: arrival)
        guard let (key, entry) = popOldest(of: queue) else { return nil }
        guard let value = entry.value else {
            entries[key] = nil
            removed -= 1
            return []
        }
        switch policy.judge(key.chunkID, in: queue, frequency: entry.reads, for: &arrival) {
        case .evict:
            entries[key] = nil
            return [value]
        case .keep(let queue, let frequency):
            entries[key]?.reads = frequency
            entries[key]?.queue = queue
            append(key, entry.cost, to: queue)
            return []
        }
    }
}
