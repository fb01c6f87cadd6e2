internal import Synchronization

/// ``ReadCounts`` that many tasks add to at once, with relaxed atomics. A counter passes all that it counts on to its parent.
final class ReadCounter: Sendable {
    private let chunks: [Tier: AtomicPair]
    private let zeroChunks = Atomic<Int>(0)
    private let repairedL1 = Atomic<Int>(0)
    private let repairedL2 = Atomic<Int>(0)
    private let failuresL1 = Atomic<Int>(0)
    private let failuresL2 = Atomic<Int>(0)
    private let parent: ReadCounter?

    private final class AtomicPair: Sendable {
        let chunks = Atomic<Int>(0)
        let bytes = Atomic<Int>(0)
    }

    init(parent: ReadCounter?) {
        self.parent = parent
        chunks = Dictionary(uniqueKeysWithValues: Tier.allCases.map { ($0, AtomicPair()) })
    }

    func delivered(by tier: Tier, bytes: Int) {
        if let pair = chunks[tier] {
            pair.chunks.add(1, ordering: .relaxed)
            pair.bytes.add(bytes, ordering: .relaxed)
        }
        parent?.delivered(by: tier, bytes: bytes)
    }

    func zeroChunk() {
        zeroChunks.add(1, ordering: .relaxed)
        parent?.zeroChunk()
    }

    func repaired(_ tier: Tier) {
        if tier == .l1 { repairedL1.add(1, ordering: .relaxed) } else { repairedL2.add(1, ordering: .relaxed) }
        parent?.repaired(tier)
    }

    func failed(_ tier: Tier) {
        if tier == .l1 { failuresL1.add(1, ordering: .relaxed) } else { failuresL2.add(1, ordering: .relaxed) }
        parent?.failed(tier)
    }

    var counts: ReadCounts {
        var counts = ReadCounts()
        counts.memory = count(.memory)
        counts.l1 = count(.l1)
        counts.l2 = count(.l2)
        counts.l3 = count(.l3)
        counts.zeroChunks = zeroChunks.load(ordering: .relaxed)
        counts.repairedL1 = repairedL1.load(ordering: .relaxed)
        counts.repairedL2 = repairedL2.load(ordering: .relaxed)
        counts.l1Failures = failuresL1.load(ordering: .relaxed)
        counts.l2Failures = failuresL2.load(ordering: .relaxed)
        return counts
    }

    private func count(_ tier: Tier) -> TierCount {
        guard let pair = chunks[tier] else { return TierCount() }
        return TierCount(
            chunks: pair.chunks.load(ordering: .relaxed), bytes: pair.bytes.load(ordering: .relaxed))
    }
}
