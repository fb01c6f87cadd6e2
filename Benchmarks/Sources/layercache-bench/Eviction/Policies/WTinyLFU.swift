/// W-TinyLFU (Einziger, Friedman, Manes, TOS 2017): a window of 1 % under LRU; who leaves it has the place of the
/// oldest on probation only if it was read more often. Reads are counted exactly, up to 15 and halved now and then,
/// where the original estimates them with a sketch.
struct WTinyLFU: CachePolicy {
    private static let window = 0
    private static let probation = 1
    private static let protected = 2
    private let capacity: Int
    private let windowCapacity: Int
    private let protectedCapacity: Int
    private let readsToHalving: Int
    private var queues: Queues
    private var counts: [UInt8]
    private var reads = 0

    init(capacity: Int, sizes: [Int]) {
        self.capacity = capacity
        windowCapacity = max(capacity / 100, 1)
        protectedCapacity = (capacity - windowCapacity) / 5 * 4
        queues = Queues(sizes: sizes, count: 3)
        counts = Array(repeating: 0, count: sizes.count)
        let mean = max(sizes.reduce(0, +) / max(sizes.count, 1), 1)
        readsToHalving = max(10 * capacity / mean, 10)
    }

    mutating func read(_ object: Int) -> Bool {
        count(object)
        switch queues.queue(of: object) {
        case Self.window:
            queues.append(object, to: Self.window)
        case .some:
            queues.append(object, to: Self.protected)
            while queues.bytes[Self.protected] > protectedCapacity, let oldest = queues.oldest(Self.protected) {
                queues.append(oldest, to: Self.probation)
            }
        case nil:
            guard queues.size(object) <= capacity else { return false }
            queues.append(object, to: Self.window)
            makeRoom()
            return false
        }
        return true
    }

    private mutating func makeRoom() {
        while let candidate = queues.oldest(Self.window) {
            if queues.bytes.reduce(0, +) > capacity {
                let victim = queues.oldest(Self.probation) ?? queues.oldest(Self.protected)
                if let victim, counts[candidate] > counts[victim] {
                    queues.remove(victim)
                } else {
                    queues.remove(candidate)
                }
            } else if queues.bytes[Self.window] > windowCapacity, queues.counts[Self.window] > 1 {
                queues.append(candidate, to: Self.probation)
            } else {
                return
            }
        }
    }

    private mutating func count(_ object: Int) {
        counts[object] = min(counts[object] + 1, 15)
        reads += 1
        guard reads >= readsToHalving else { return }
        reads = 0
        for object in counts.indices { counts[object] /= 2 }
    }
}
