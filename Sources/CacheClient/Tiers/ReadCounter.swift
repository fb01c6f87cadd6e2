internal import Synchronization

/// ``ReadCounts`` that many tasks add to at once, with relaxed atomics. That of an image passes all on to that of its
/// cache, which passes it on to swift-metrics.
final class ReadCounter: Sendable {
    private final class OfTier: Sendable {
        let chunks = Atomic<Int>(0)
        let bytes = Atomic<Int>(0)
        let repaired = Atomic<Int>(0)
        let failures = Atomic<Int>(0)

        var count: TierCount {
            TierCount(chunks: chunks.load(ordering: .relaxed), bytes: bytes.load(ordering: .relaxed))
        }
    }

    private enum Next {
        case parent(ReadCounter)
        case metrics(ReadMetrics, ReadTimeCounter)
    }

    private let memory = OfTier()
    private let l1 = OfTier()
    private let l2 = OfTier()
    private let l3 = OfTier()
    private let zeroChunks = Atomic<Int>(0)
    private let next: Next

    /// - Parameter parent: the counter of the cache; `nil` for that one itself.
    init(parent: ReadCounter?) {
        next = parent.map { .parent($0) } ?? .metrics(ReadMetrics(), ReadTimeCounter())
    }

    private func of(_ tier: Tier) -> OfTier {
        switch tier {
        case .memory: memory
        case .l1: l1
        case .l2: l2
        case .l3: l3
        }
    }

    func delivered(by tier: Tier, chunks: Int = 1, bytes: Int) {
        of(tier).chunks.add(chunks, ordering: .relaxed)
        of(tier).bytes.add(bytes, ordering: .relaxed)
        switch next {
        case .parent(let parent): parent.delivered(by: tier, chunks: chunks, bytes: bytes)
        case .metrics(let metrics, _): metrics.delivered(by: tier, chunks: chunks, bytes: bytes)
        }
    }

    /// A reader has waited for a chunk that `tier` delivered.
    func took(_ tier: Tier, _ time: Duration) {
        switch next {
        case .parent(let parent): parent.took(tier, time)
        case .metrics(let metrics, let times):
            metrics.took(tier, time)
            times.took(tier, time)
        }
    }

    /// Of a whole cache; an image's own are not kept.
    var times: ReadTimes {
        switch next {
        case .parent(let parent): parent.times
        case .metrics(_, let times): times.times
        }
    }

    func zeroChunk() {
        zeroChunks.add(1, ordering: .relaxed)
        switch next {
        case .parent(let parent): parent.zeroChunk()
        case .metrics(let metrics, _): metrics.zeroChunk()
        }
    }

    func repaired(_ tier: Tier) {
        of(tier).repaired.add(1, ordering: .relaxed)
        switch next {
        case .parent(let parent): parent.repaired(tier)
        case .metrics(let metrics, _): metrics.repaired(tier)
        }
    }

    func failed(_ tier: Tier) {
        of(tier).failures.add(1, ordering: .relaxed)
        switch next {
        case .parent(let parent): parent.failed(tier)
        case .metrics(let metrics, _): metrics.failed(tier)
        }
    }

    var counts: ReadCounts {
        var counts = ReadCounts()
        counts.memory = memory.count
        counts.l1 = l1.count
        counts.l2 = l2.count
        counts.l3 = l3.count
        counts.zeroChunks = zeroChunks.load(ordering: .relaxed)
        counts.repairedL1 = l1.repaired.load(ordering: .relaxed)
        counts.repairedL2 = l2.repaired.load(ordering: .relaxed)
        counts.l1Failures = l1.failures.load(ordering: .relaxed)
        counts.l2Failures = l2.failures.load(ordering: .relaxed)
        return counts
    }
}
