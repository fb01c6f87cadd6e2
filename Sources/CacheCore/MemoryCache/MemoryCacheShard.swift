internal import NIOCore

/// One shard of ``MemoryCache``: a dictionary into a doubly linked queue of slots, and SIEVE's hand.
struct MemoryCacheShard {
    private struct Slot {
        var ref: ChunkRef
        var bytes: ByteBuffer
        var visited = false
        /// Towards the newer end.
        var newer: Int?
        /// Towards the older end.
        var older: Int?
    }

    private let capacity: Int
    private var index: [ChunkRef: Int] = [:]
    private var slots: [Slot] = []
    private var unused: [Int] = []
    private var newest: Int?
    private var oldest: Int?
    private var hand: Int?
    private(set) var bytes = 0
    private(set) var evictions = 0

    var count: Int { index.count }

    init(capacity: Int) {
        self.capacity = capacity
    }

    func contains(_ ref: ChunkRef) -> Bool { index[ref] != nil }

    mutating func get(_ ref: ChunkRef) -> ByteBuffer? {
        guard let slot = index[ref] else { return nil }
        slots[slot].visited = true
        return slots[slot].bytes
    }

    /// Returns what had to go, so that it can be freed outside the lock.
    mutating func insert(_ ref: ChunkRef, _ buffer: ByteBuffer) -> [ByteBuffer] {
        let size = buffer.storageCapacity
        guard size <= capacity, index[ref] == nil else { return [] }
        var evicted: [ByteBuffer] = []
        while bytes + size > capacity, let victim = nextVictim() {
            evicted.append(take(victim))
            evictions += 1
        }
        let slot = Slot(ref: ref, bytes: buffer, older: newest)
        let position: Int
        if let free = unused.popLast() {
            slots[free] = slot
            position = free
        } else {
            slots.append(slot)
            position = slots.count - 1
        }
        if let newest { slots[newest].newer = position } else { oldest = position }
        newest = position
        index[ref] = position
        bytes += size
        return evicted
    }

    mutating func remove(_ ref: ChunkRef) -> ByteBuffer? {
        index[ref].map { take($0) }
    }

    /// The hand goes from old to new, forgives what was visited, and stops at what was not.
    private mutating func nextVictim() -> Int? {
        var position = hand ?? oldest
        while let slot = position, slots[slot].visited {
            slots[slot].visited = false
            position = slots[slot].newer ?? oldest
        }
        hand = position
        return position
    }

    private mutating func take(_ position: Int) -> ByteBuffer {
        let slot = slots[position]
        if hand == position { hand = slot.newer }
        if let newer = slot.newer { slots[newer].older = slot.older } else { newest = slot.older }
        if let older = slot.older { slots[older].newer = slot.newer } else { oldest = slot.newer }
        index[slot.ref] = nil
        bytes -= slot.bytes.storageCapacity
        slots[position].bytes = ByteBuffer()
        unused.append(position)
        return slot.bytes
    }
}
