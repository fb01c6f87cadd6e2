import Foundation

/// Traces for case `eviction` that come from outside, and where to leave those of the run.
struct EvictionFiles {
    /// `NAME=FILE`: traces in libCacheSim's format `oracleGeneral`.
    var traces: [String] = []
    /// A directory for all traces of the run.
    var kept: String?

    func read() throws -> [AccessTrace] {
        try traces.map { option in
            guard let equals = option.firstIndex(of: "=") else {
                throw BenchError("--trace '\(option)' is not NAME=FILE")
            }
            return try AccessTrace(
                name: String(option[..<equals]), oracleGeneral: String(option[option.index(after: equals)...]))
        }
    }

    /// A replay in `results.json`, beside the traces.
    private struct Kept: Encodable {
        let trace: String
        let file: String
        let hasOwnSizes: Bool
        let percent: Double
        let capacity: Int
        /// The share of requests that were hits, by policy.
        let requests: [String: Double]
    }

    /// Leaves the traces, and what S3-FIFO and ours hit of them: with the sizes that they have, and with all the same.
    func keep(_ traces: [AccessTrace]) throws {
        guard let kept else { return }
        try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
        var results: [Kept] = []
        for trace in traces {
            let file = "\(trace.fileName).bin"
            try trace.write(oracleGeneral: "\(kept)/\(file)")
            for hasOwnSizes in [true, false] {
                let sized = hasOwnSizes ? trace : trace.unitSized
                let replay = ReplayedTrace(sized, shares: cacheShares, policies: [.ours, .textbook])
                results += cacheShares.indices.map { place in
                    Kept(
                        trace: trace.name, file: file, hasOwnSizes: hasOwnSizes, percent: cacheShares[place] * 100,
                        capacity: sized.capacity(of: cacheShares[place]),
                        requests: Dictionary(
                            uniqueKeysWithValues: replay.ratios.map { ($0.key.rawValue, $0.value[place].requests) }))
                }
            }
        }
        try JSONEncoder().encode(results).write(to: URL(fileURLWithPath: "\(kept)/results.json"))
    }
}

/// What the store's eviction hits of several workloads, beside other policies and beside what is possible.
func runEviction(_ context: Context) throws -> CaseResult {
    let isQuick = context.workspace.quick
    let functions = [0.6, 0.9, 1.2].map {
        FunctionWorkload(exponent: $0, starts: isQuick ? 500 : 10_000, seed: 33).trace()
    }
    let cycle = cycleTrace(chunks: isQuick ? 500 : 5_000, rounds: 20)
    var result = CaseResult()
    var replays = functions.map { ReplayedTrace($0, shares: cacheShares) }
    replays.append(ReplayedTrace(cycle, shares: cacheShares + [0.5, 0.8]))
    if context.starts.isEmpty {
        result.skipped.append("real starts: give images with --start")
    } else {
        let recorded = try recordedTrace(context.starts, context.workspace)
        replays.append(ReplayedTrace(recorded, shares: cacheShares + [0.5]))
    }
    let files = try context.evictionFiles.read()
    if files.isEmpty {
        result.skipped.append("block traces: give one with --trace NAME=FILE, such as libCacheSim's cloudPhysicsIO")
    }
    replays += files.map { ReplayedTrace($0, shares: cacheShares) }
    try context.evictionFiles.keep(replays.map(\.trace))
    for replay in replays {
        result.rows += rows(replay)
        result.figures += [replay.figure(\.requests, of: "requests"), replay.figure(\.bytes, of: "bytes")]
    }
    result.method = """
        Reads replayed through policies, without the bytes. Caches have 1, 5, 10 and 20 % of the bytes that a trace \
        reads in all. Ours is the policy of the
        chunk store and of the memory above it (`EvictionReplay`), S3-FIFO its textbook form; Belady knows what comes. \
        Cold misses count. The
        functions are made from a seed: \(functions[0].reads.count) reads and more of the starts of 400 functions on \
        12 base images, timers that all run
        at once, and new versions. A start reads each chunk once, as the store counts it. A cycle is one image that is \
        read from its first chunk to its last
        20 times. Recorded starts are what real programs read from L3 on mounted images, which start in turns, with a \
        pull of the first image after each
        round. `Scripts/compare-eviction` replays the same traces in libCacheSim.

        \(replays.map(\.markdown).joined(separator: "\n\n"))
        """
    return result
}

private let cacheShares = [0.01, 0.05, 0.1, 0.2]

/// Ours beside the best of the others.
private func rows(_ replay: ReplayedTrace) -> [Row] {
    [("requests", \HitRatios.requests), ("bytes", \.bytes)].flatMap { what, part in
        replay.shares.indices.map { place in
            let (policy, value) = replay.best(at: place, part)
            return .compared(
                "eviction", "\(replay.trace.name), cache of \((replay.shares[place] * 100).short) %: \(what) hit",
                replay.value(.ours, at: place, part) * 100, "%", to: policy.rawValue, value * 100,
                target: what == "requests" && replay.trace.isFunctions ? .atLeast(1) : nil)
        }
    }
}
