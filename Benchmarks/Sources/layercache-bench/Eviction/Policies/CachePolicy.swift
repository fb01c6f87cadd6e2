/// A cache that is told what is read, and says what it would have had.
protocol CachePolicy {
    /// Whether the object was there. If not, it is from now on, if the policy lets it in.
    mutating func read(_ object: Int) -> Bool
}

/// The queues of a policy: doubly linked lists over the objects of a trace, oldest first. An object is in one of them
/// at most.
struct Queues {
    private let sizes: [Int]
    private var after: [Int]
    private var before: [Int]
    private var owner: [Int]
    private(set) var bytes: [Int]
    private(set) var counts: [Int]

    init(sizes: [Int], count: Int = 1) {
        self.sizes = sizes
        // Behind the objects there is a place for each queue, between its last and its first object.
        after = Array(0..<sizes.count + count)
        before = after
        owner = Array(repeating: -1, count: sizes.count)
        bytes = Array(repeating: 0, count: count)
        counts = bytes
    }

    func size(_ object: Int) -> Int { sizes[object] }

    /// The queue that an object is in.
    func queue(of object: Int) -> Int? { owner[object] < 0 ? nil : owner[object] }

    func oldest(_ queue: Int) -> Int? {
        let first = after[sizes.count + queue]
        return first < sizes.count ? first : nil
    }

    /// The next younger object; `nil` after the youngest.
    func younger(_ object: Int) -> Int? {
        let next = after[object]
        return next < sizes.count ? next : nil
    }

    /// Makes an object the youngest of `queue`, from wherever it was.
    mutating func append(_ object: Int, to queue: Int) {
        remove(object)
        let head = sizes.count + queue
        let last = before[head]
        after[last] = object
        before[object] = last
        after[object] = head
        before[head] = object
        owner[object] = queue
        bytes[queue] += sizes[object]
        counts[queue] += 1
    }

    mutating func remove(_ object: Int) {
        guard owner[object] >= 0 else { return }
        after[before[object]] = after[object]
        before[after[object]] = before[object]
        bytes[owner[object]] -= sizes[object]
        counts[owner[object]] -= 1
        owner[object] = -1
    }
}

/// A heap of objects, the smallest key first. Old entries of an object stay in it: who takes one out sees whether it is
/// the newest.
struct ObjectHeap {
    typealias Entry = (key: Int, second: Int, object: Int)
    private var entries: [Entry] = []

    mutating func push(_ entry: Entry) {
        entries.append(entry)
        var child = entries.count - 1
        while child > 0, Self.isLess(entries[child], entries[(child - 1) / 2]) {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    var first: Entry? { entries.first }

    mutating func pop() -> Entry? {
        guard let first = entries.first, let last = entries.popLast() else { return nil }
        guard !entries.isEmpty else { return first }
        entries[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < entries.count && Self.isLess(entries[child], entries[least]) {
                least = child
            }
            if least == parent { return first }
            entries.swapAt(parent, least)
            parent = least
        }
    }

    private static func isLess(_ one: Entry, _ other: Entry) -> Bool {
        (one.key, one.second) < (other.key, other.second)
    }
}
