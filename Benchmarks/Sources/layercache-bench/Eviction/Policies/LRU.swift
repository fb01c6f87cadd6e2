/// The one that was not read for longest leaves.
struct LRU: CachePolicy {
    private let capacity: Int
    private var queues: Queues

    init(capacity: Int, sizes: [Int]) {
        self.capacity = capacity
        queues = Queues(sizes: sizes)
    }

    mutating func read(_ object: Int) -> Bool {
        let isHit = queues.queue(of: object) != nil
        if !isHit {
            guard queues.size(object) <= capacity else { return false }
            while queues.bytes[0] + queues.size(object) > capacity, let oldest = queues.oldest(0) {
                queues.remove(oldest)
            }
        }
        queues.append(object, to: 0)
        return isHit
    }
}

/// LRU-2 (O'Neil, O'Neil, Weikum, SIGMOD 1993): the one whose last read but one is longest ago leaves. The times of
/// objects that have left are remembered for good, which is in its favour.
struct LRU2: CachePolicy {
    private let capacity: Int
    private let sizes: [Int]
    private var isHere: [Bool]
    private var last: [Int]
    private var lastButOne: [Int]
    private var heap = ObjectHeap()
    private var bytes = 0
    private var now = 0

    init(capacity: Int, sizes: [Int]) {
        self.capacity = capacity
        self.sizes = sizes
        isHere = Array(repeating: false, count: sizes.count)
        last = Array(repeating: 0, count: sizes.count)
        lastButOne = last
    }

    mutating func read(_ object: Int) -> Bool {
        now += 1
        lastButOne[object] = last[object]
        last[object] = now
        let isHit = isHere[object]
        if !isHit {
            guard sizes[object] <= capacity else { return false }
            while bytes + sizes[object] > capacity, let entry = heap.pop() {
                guard isHere[entry.object], entry.second == last[entry.object] else { continue }
                isHere[entry.object] = false
                bytes -= sizes[entry.object]
            }
            isHere[object] = true
            bytes += sizes[object]
        }
        heap.push((lastButOne[object], now, object))
        return isHit
    }
}
