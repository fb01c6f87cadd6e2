/// Belady's bound: knows what comes, and drops what is read again last; what is read again later than all that is there
/// is not taken in. For objects of one size nothing can be better; for others it is close.
struct Belady: CachePolicy {
    private let capacity: Int
    private let sizes: [Int]
    private let next: [Int]
    /// When each object that is here is read again; -1 for those that are not.
    private var due: [Int]
    private var heap = ObjectHeap()
    private var bytes = 0
    private var place = 0

    init(capacity: Int, trace: AccessTrace) {
        self.capacity = capacity
        sizes = trace.sizes
        next = trace.nextReads
        due = Array(repeating: -1, count: sizes.count)
    }

    mutating func read(_ object: Int) -> Bool {
        let again = next[place]
        place += 1
        let isHit = due[object] >= 0
        if isHit {
            bytes -= sizes[object]
            due[object] = -1
        }
        guard again != .max, sizes[object] <= capacity else { return isHit }
        while bytes + sizes[object] > capacity, let last = heap.first {
            if due[last.object] == -last.key {
                guard due[last.object] > again else { return isHit }
                due[last.object] = -1
                bytes -= sizes[last.object]
            }
            _ = heap.pop()
        }
        due[object] = again
        bytes += sizes[object]
        heap.push((-again, 0, object))
        return isHit
    }
}
