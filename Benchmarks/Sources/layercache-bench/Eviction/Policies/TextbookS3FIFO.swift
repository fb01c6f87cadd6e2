/// S3-FIFO as its authors publish it (Yang et al., SOSP 2023; libCacheSim): what the store's policy is measured
/// against.
///
/// The store's differs: one read, not two, brings an object from the small queue to main; one that comes back joins
/// main only if it was asked for more often than what must leave for it; and what is as large as the small queue is
/// taken in all the same.
struct TextbookS3FIFO: CachePolicy {
    private static let small = 0
    private static let main = 1
    private static let ghost = 2
    private let smallCapacity: Int
    private let mainCapacity: Int
    private let ghostCapacity: Int
    private var queues: Queues
    private var reads: [UInt8]
    private var isFull = false

    init(capacity: Int, sizes: [Int]) {
        smallCapacity = capacity / 10
        mainCapacity = capacity - smallCapacity
        ghostCapacity = capacity / 10 * 9
        queues = Queues(sizes: sizes, count: 3)
        reads = Array(repeating: 0, count: sizes.count)
    }

    mutating func read(_ object: Int) -> Bool {
        let queue = queues.queue(of: object)
        if queue == Self.small || queue == Self.main {
            reads[object] = min(reads[object] + 1, 3)
            return true
        }
        let size = queues.size(object)
        queues.remove(object)
        guard queue == Self.ghost ? size <= mainCapacity : size < smallCapacity else { return false }
        while queues.bytes[Self.small] + queues.bytes[Self.main] + size > smallCapacity + mainCapacity {
            isFull = true
            let isMainFull = queues.bytes[Self.main] > mainCapacity
            if isMainFull || queues.bytes[Self.small] == 0 { evictMain() } else { evictSmall() }
        }
        let joinsMain = queue == Self.ghost || !isFull && queues.bytes[Self.small] >= smallCapacity
        reads[object] = 0
        queues.append(object, to: joinsMain ? Self.main : Self.small)
        return false
    }

    /// Drops the oldest that was read less than twice; those before it join main.
    private mutating func evictSmall() {
        while let oldest = queues.oldest(Self.small) {
            if reads[oldest] >= 2 {
                reads[oldest] = 0
                queues.append(oldest, to: Self.main)
                continue
            }
            queues.append(oldest, to: Self.ghost)
            while queues.bytes[Self.ghost] > ghostCapacity, let forgotten = queues.oldest(Self.ghost) {
                queues.remove(forgotten)
            }
            return
        }
    }

    /// Drops the oldest that was not read since it was looked at last.
    private mutating func evictMain() {
        while let oldest = queues.oldest(Self.main) {
            guard reads[oldest] > 0 else { return queues.remove(oldest) }
            reads[oldest] -= 1
            queues.append(oldest, to: Self.main)
        }
    }
}
