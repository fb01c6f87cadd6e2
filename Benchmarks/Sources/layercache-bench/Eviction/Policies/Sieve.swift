/// SIEVE (Zhang et al., NSDI 2024): a hand goes from old to young, forgives each object that was read once, and drops
/// the first that was not.
struct Sieve: CachePolicy {
    private let capacity: Int
    private var queues: Queues
    private var wasRead: [Bool]
    private var hand: Int?

    init(capacity: Int, sizes: [Int]) {
        self.capacity = capacity
        queues = Queues(sizes: sizes)
        wasRead = Array(repeating: false, count: sizes.count)
    }

    mutating func read(_ object: Int) -> Bool {
        if queues.queue(of: object) != nil {
            wasRead[object] = true
            return true
        }
        guard queues.size(object) <= capacity else { return false }
        while queues.bytes[0] + queues.size(object) > capacity, let next = hand ?? queues.oldest(0) {
            hand = queues.younger(next)
            if wasRead[next] { wasRead[next] = false } else { queues.remove(next) }
        }
        queues.append(object, to: 0)
        return false
    }
}
