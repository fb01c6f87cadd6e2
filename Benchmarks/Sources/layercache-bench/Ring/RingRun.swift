import CacheClient

/// One read of a chunk.
struct RingSample: Sendable {
    /// Seconds since the readers began.
    let start: Double
    let milliseconds: Double
    let isRight: Bool
    /// Chunks that all readers had from L3 meanwhile.
    let fromL3: Int
}

/// The reads of one run.
struct RingRun {
    let event: RingEvent
    let before: [Double]
    let meanwhile: [Double]
    private let settled: [Double]
    private let errors: Int
    private let ring: L2RingStatistics?
    /// The share of all reads since the event that L3 had to bring, at most.
    private let missed: Double

    init(event: RingEvent, onset: Double, samples: [RingSample], ring: L2RingStatistics?) {
        self.event = event
        self.ring = ring
        let later = samples.filter { $0.start >= onset }
        before = samples.filter { $0.start < onset }.map(\.milliseconds)
        meanwhile = later.map(\.milliseconds)
        settled = later.filter { $0.start >= onset + 2 }.map(\.milliseconds)
        errors = samples.count { !$0.isRight }
        missed = Double(later.count { $0.fromL3 > 0 }) / Double(max(later.count, 1))
    }

    /// What is healthy is what was before in the same run: a machine that others use is not the same a minute later.
    func rows() -> [Row] {
        let name = event.rawValue
        var rows = [Row.plain("ring", "\(name), reads", Double(meanwhile.count), "reads")]
        for (title, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let target: Target? = share == 0.99 ? .atMost(event == .added ? 1.1 : 2) : nil
            rows.append(
                .compared(
                    "ring", "\(name), \(title)", meanwhile.percentile(share), "ms", to: "before",
                    before.percentile(share), target: target))
            if !settled.isEmpty {
                rows.append(
                    .compared(
                        "ring", "\(name), settled, \(title)", settled.percentile(share), "ms", to: "before",
                        before.percentile(share), target: target))
            }
        }
        rows.append(.plain("ring", "\(name), reads that failed", Double(errors), "reads", target: .atMost(0)))
        rows.append(.plain("ring", "\(name), reads beside one of L3", missed * 100, "%", target: .atMost(20)))
        if let ring {
            let share = Double(ring.hedges) / Double(max(ring.reads, 1)) * 100
            rows.append(.plain("ring", "\(name), hedges", share, "% of reads", target: .atMost(5)))
            let passed = Double(ring.nodes.reduce(0) { $0 + $1.passedOver })
            rows.append(
                .plain("ring", "\(name), reads of another daemon", passed / Double(max(ring.reads, 1)) * 100, "%"))
            let ejections = ring.nodes.reduce(0) { $0 + $1.ejections }
            rows.append(.plain("ring", "\(name), left out for being late", Double(ejections), "times"))
        }
        return rows
    }
}
