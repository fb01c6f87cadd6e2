internal import Metrics

/// ``ReadCounts`` of a whole cache as counters of swift-metrics, for whichever backend the process has set up.
///
///     layercache_client_chunks{tier}      chunks that a tier delivered; tier is memory, l1, l2 or l3
///     layercache_client_bytes{tier}       their bytes: sealed, but plaintext for memory
///     layercache_client_zero_chunks       zero chunks, which no tier had to deliver
///     layercache_client_repaired{tier}    damaged chunks that were dropped and fetched from below
///     layercache_client_failures{tier}    times that a tier was passed over
///     layercache_client_read_time{tier}   how long a reader waited for a chunk, in nanoseconds; not of memory
struct ReadMetrics: Sendable {
    private struct OfTier: Sendable {
        let chunks: Counter
        let bytes: Counter
        let repaired: Counter
        let failures: Counter
        let time: Timer

        init(_ tier: Tier) {
            func counter(_ name: String) -> Counter {
                Counter(label: "layercache_client_\(name)", dimensions: [("tier", tier.rawValue)])
            }
            chunks = counter("chunks")
            bytes = counter("bytes")
            repaired = counter("repaired")
            failures = counter("failures")
            time = Timer(label: "layercache_client_read_time", dimensions: [("tier", tier.rawValue)])
        }
    }

    private let memory = OfTier(.memory)
    private let l1 = OfTier(.l1)
    private let l2 = OfTier(.l2)
    private let l3 = OfTier(.l3)
    private let zeroChunks = Counter(label: "layercache_client_zero_chunks")

    private func of(_ tier: Tier) -> OfTier {
        switch tier {
        case .memory: memory
        case .l1: l1
        case .l2: l2
        case .l3: l3
        }
    }

    func delivered(by tier: Tier, chunks: Int, bytes: Int) {
        of(tier).chunks.increment(by: chunks)
        of(tier).bytes.increment(by: bytes)
    }

    func took(_ tier: Tier, _ time: Duration) { of(tier).time.recordNanoseconds(Int64(time / .nanoseconds(1))) }

    func zeroChunk() { zeroChunks.increment() }

    func repaired(_ tier: Tier) { of(tier).repaired.increment() }

    func failed(_ tier: Tier) { of(tier).failures.increment() }
}
