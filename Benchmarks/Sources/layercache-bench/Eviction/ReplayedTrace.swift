import CacheCore
import Foundation

/// What a policy would have hit of a trace.
struct HitRatios {
    let requests: Double
    let bytes: Double
}

/// One trace under all policies, at caches of several sizes.
struct ReplayedTrace {
    let trace: AccessTrace
    /// Sizes of the caches as shares of all that the trace reads.
    let shares: [Double]
    private(set) var ratios: [Policy: [HitRatios]] = [:]

    enum Policy: String, CaseIterable {
        case ours, textbook = "S3-FIFO", lru = "LRU", lru2 = "LRU-2", sieve = "SIEVE", tinyLFU = "W-TinyLFU"
        case belady = "Belady"
    }

    init(_ trace: AccessTrace, shares: [Double], policies: [Policy] = Policy.allCases) {
        self.trace = trace
        self.shares = shares
        let ids = trace.sizes.indices.map { object in withUnsafeBytes(of: object) { ChunkID(ofSealed: $0) } }
        for policy in policies {
            ratios[policy] = shares.map { Self.replay(trace, policy, capacity: trace.capacity(of: $0), ids) }
        }
    }

    private static func replay(
        _ trace: AccessTrace, _ policy: Policy, capacity: Int, _ ids: [ChunkID]
    ) -> HitRatios {
        let sizes = trace.sizes
        return switch policy {
        case .ours: trace.ratios(of: StorePolicy(capacity: capacity, sizes: sizes, ids: ids))
        case .textbook: trace.ratios(of: TextbookS3FIFO(capacity: capacity, sizes: sizes))
        case .lru: trace.ratios(of: LRU(capacity: capacity, sizes: sizes))
        case .lru2: trace.ratios(of: LRU2(capacity: capacity, sizes: sizes))
        case .sieve: trace.ratios(of: Sieve(capacity: capacity, sizes: sizes))
        case .tinyLFU: trace.ratios(of: WTinyLFU(capacity: capacity, sizes: sizes))
        case .belady: trace.ratios(of: Belady(capacity: capacity, trace: trace))
        }
    }

    /// The best of those that do not know what comes, other than ours, at the cache of number `place`.
    func best(at place: Int, _ part: KeyPath<HitRatios, Double>) -> (Policy, Double) {
        Policy.allCases.filter { $0 != .ours && $0 != .belady }
            .map { ($0, value($0, at: place, part)) }
            .max { $0.1 < $1.1 } ?? (.lru, 0)
    }

    func value(_ policy: Policy, at place: Int, _ part: KeyPath<HitRatios, Double>) -> Double {
        ratios[policy].map { $0[place][keyPath: part] } ?? 0
    }

    /// Percent of the requests, and of the bytes, that each policy hits.
    var markdown: String {
        let sizes = shares.map { "\(($0 * 100).short) %" }
        let columns = ["policy"] + sizes.map { "requests, \($0)" } + sizes.map { "bytes, \($0)" }
        let lines = Policy.allCases.map { policy in
            let cells = [\HitRatios.requests, \.bytes].flatMap { part in
                shares.indices.map { String(format: "%.1f", value(policy, at: $0, part) * 100) }
            }
            return "| \(policy.rawValue) | " + cells.joined(separator: " | ") + " |"
        }
        return """
            **\(trace.name)**: \(trace.reads.count) reads of \(trace.objects) chunks, \
            \((Double(trace.footprint) / 1e6).short) MB; hit percent.

            | \(columns.joined(separator: " | ")) |
            |\(columns.map { _ in "---|" }.joined())
            \(lines.joined(separator: "\n"))
            """
    }

    func figure(_ part: KeyPath<HitRatios, Double>, of what: String) -> Figure {
        let series = Policy.allCases.map { policy in
            Series(policy.rawValue, shares.indices.map { (shares[$0] * 100, value(policy, at: $0, part)) })
        }
        let name = "eviction-\(trace.fileName)-\(what)"
        return .ratios(
            name: name, title: "Hit ratio by \(what): \(trace.name)", unit: "cache, % of all that is read",
            series: series)
    }
}

extension AccessTrace {
    func capacity(of share: Double) -> Int { max(Int(Double(footprint) * share), 1) }

    /// The name with what may stand in a file's name.
    var fileName: String {
        String(name.map { $0.isLetter || $0.isNumber || $0 == "." ? $0 : "-" }).replacing("--", with: "-")
    }

    fileprivate func ratios(of policy: some CachePolicy) -> HitRatios {
        var policy = policy
        var hits = 0
        var bytes = 0
        for object in reads where policy.read(object) {
            hits += 1
            bytes += sizes[object]
        }
        return HitRatios(
            requests: Double(hits) / Double(max(reads.count, 1)), bytes: Double(bytes) / Double(max(bytesRead, 1)))
    }
}

/// The policy of the chunk store and of the memory above it.
private struct StorePolicy: CachePolicy {
    private let sizes: [Int]
    private let ids: [ChunkID]
    private var replay: EvictionReplay

    init(capacity: Int, sizes: [Int], ids: [ChunkID]) {
        self.sizes = sizes
        self.ids = ids
        let mean = max(sizes.reduce(0, +) / max(sizes.count, 1), 1)
        replay = EvictionReplay(capacity: capacity, chunks: capacity / mean)
    }

    mutating func read(_ object: Int) -> Bool { replay.read(ids[object], size: sizes[object]) }
}
