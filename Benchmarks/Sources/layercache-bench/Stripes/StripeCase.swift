import CacheCore
import Foundation
import Glibc

/// Whole chunks, whole chunks with hedges, and a 4-of-5 erasure code, while something happens to one of five daemons.
func runStripes(_ context: Context) async throws -> CaseResult {
    let workspace = context.workspace
    let bench = try StripeBench(workspace)
    var result = CaseResult()
    // One reader alone shows what a chunk takes; four, on few processors, what the work costs.
    for readers in workspace.quick ? [4] : [1, 4] {
        let load = readers == 1 ? "one reader" : "\(readers) readers"
        var tails: [Bar] = []
        for event in RingEvent.allCases where event != .added {
            var series: [Series] = []
            var plain: StripeRun?
            for (mode, run) in try await bench.run(event, readers: readers) {
                result.rows += run.rows(load, beside: plain)
                series.append(Series(mode.rawValue, cumulative: run.meanwhile))
                let name = "\(event.rawValue), \(mode.rawValue)"
                tails.append(Bar(name, run.meanwhile.percentile(0.99), isOurs: mode == .hedged))
                if mode == .whole { plain = run }
            }
            result.figures.append(
                .distribution(
                    name: "stripes-\(readers)-\(event.rawValue.replacing(" ", with: "-"))",
                    title: "Whole chunk, hedge or 4-of-5 stripes, \(load), \(event.rawValue)", unit: "ms",
                    series: series))
        }
        result.figures.append(
            .bars(
                name: "stripes-\(readers)-p99", title: "p99 of a chunk of 512 KiB from five daemons, \(load)",
                unit: "ms", bars: tails))
    }
    result.method = """
        Five daemons on loopback, all chunks in memory; one thread, then four, read random chunks of 512 KiB, each one \
        after the other, with one connection a daemon and nothing but SHA-256 over the whole chunk. Whole: from one \
        daemon, L3 after 50 ms. Hedge: the next daemon is asked, too, after the time of 95 of 100 latest answers, for \
        a twentieth of the reads; it is filled by what L3 had to bring, and a daemon that was late time after time is \
        left out for 5 s. 4 of 5: four pieces and their XOR, each on another daemon; all five are asked, the first \
        four count. A daemon that owes an answer is not asked again. L3 answers after \
        \(Int(StripeBench.distance * 1000)) ms. After a quarter of the time one daemon is stopped, slow (the processor \
        for 5 ms of 50), gone, or flapping (a second each). Processor time is the readers' and the daemons'.
        """
    return result
}

/// What the runs share.
private struct StripeBench {
    static let distance = 0.03
    private let workspace: Workspace
    private let whole: Bodies
    private let striped: [StripedBody]
    private let seconds: Double

    init(_ workspace: Workspace) throws {
        self.workspace = workspace
        seconds = workspace.quick ? 1.6 : 2
        whole = Bodies(count: workspace.quick ? 60 : 100, seed: 5)
        striped = whole.bodies.map { StripedBody($0) }
    }

    /// All modes beside one event, each with all five daemons at first.
    func run(_ event: RingEvent, readers: Int) async throws -> [(StripeMode, StripeRun)] {
        var runs: [(StripeMode, StripeRun)] = []
        var nodes: RingNodes?
        defer { nodes?.end() }
        for mode in StripeMode.allCases {
            if event == .gone {
                nodes?.end()
                nodes = nil
            }
            let these = try nodes ?? filled()
            nodes = these
            runs.append((mode, try await run(event, mode, these, readers: readers)))
        }
        return runs
    }

    private func filled() throws -> RingNodes {
        let nodes = try RingNodes(workspace, count: 5)
        try set(nodes).fill()
        return nodes
    }

    private func set(_ nodes: RingNodes) -> StripedSet {
        StripedSet(nodes: nodes.endpoints, whole: whole, striped: striped)
    }

    private func run(
        _ event: RingEvent, _ mode: StripeMode, _ nodes: RingNodes, readers count: Int
    ) async throws -> StripeRun {
        let set = set(nodes)
        let onset = seconds / 4
        let happening = Task { [seconds = onset] in
            try await Task.sleep(for: .seconds(seconds))
            try await event.happen(to: nodes)
        }
        let processor = (own: Self.processorSeconds(), daemons: nodes.processorSeconds)
        let readers = await withTaskGroup(of: StripeRun.Part.self) { group in
            for number in 0..<count {
                group.addTask { [seconds] in
                    await Self.onThread { Self.read(set, mode, seed: UInt64(number + 1), seconds: seconds) }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let used = Self.processorSeconds() - processor.own + nodes.processorSeconds - processor.daemons
        happening.cancel()
        try await happening.value
        return StripeRun(event: event, mode: mode, onset: onset, parts: readers, processorSeconds: used)
    }

    private static func onThread<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: body()) }
        }
    }

    private static func read(_ set: StripedSet, _ mode: StripeMode, seed: UInt64, seconds: Double) -> StripeRun.Part {
        let reader = StripeReader(set, mode, distance: distance)
        var part = StripeRun.Part()
        var state = seed
        let begin = ContinuousClock.now
        while true {
            let start = (ContinuousClock.now - begin) / .seconds(1)
            guard start < seconds else { break }
            // A linear congruential generator (Knuth's constants): the same chunks in each mode.
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            reader.read(Int(state >> 33) % set.whole.names.count)
            part.samples.append((start, (ContinuousClock.now - begin) / .seconds(1) - start))
        }
        part.reads = reader.reads
        part.bytes = reader.bytes
        return part
    }

    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}

/// What came of one mode beside one event.
private struct StripeRun {
    struct Part: Sendable {
        /// When a read began, and how long it took.
        var samples: [(start: Double, seconds: Double)] = []
        var reads = (total: 0, fromL3: 0, hedged: 0, wrong: 0)
        var bytes = 0
    }

    let meanwhile: [Double]
    private let event: RingEvent
    private let mode: StripeMode
    private let reads: Double
    private let fromL3: Double
    private let wrong: Int
    private let bytes: Double
    private let processorSeconds: Double

    init(event: RingEvent, mode: StripeMode, onset: Double, parts: [Part], processorSeconds: Double) {
        self.event = event
        self.mode = mode
        let samples = parts.flatMap(\.samples)
        meanwhile = samples.filter { $0.start >= onset }.map { $0.seconds * 1e3 }
        reads = Double(samples.count)
        fromL3 = Double(parts.reduce(0) { $0 + $1.reads.fromL3 })
        wrong = parts.reduce(0) { $0 + $1.reads.wrong }
        bytes = Double(parts.reduce(0) { $0 + $1.bytes })
        self.processorSeconds = processorSeconds
    }

    /// - Parameter plain: whole chunks, beside the same event.
    func rows(_ load: String, beside plain: StripeRun?) -> [Row] {
        let name = "\(load), \(event.rawValue), \(mode.rawValue)"
        func row(_ what: String, _ unit: String, _ value: (StripeRun) -> Double) -> Row {
            guard let plain else { return .plain("stripes", "\(name), \(what)", value(self), unit) }
            return .compared("stripes", "\(name), \(what)", value(self), unit, to: "whole", value(plain))
        }
        var rows = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)].map { title, share in
            row(title, "ms") { $0.meanwhile.percentile(share) }
        }
        rows.append(row("reads", "reads") { $0.reads })
        rows.append(row("bytes of L2", "KiB/read") { $0.bytes / $0.reads / 1024 })
        rows.append(row("processor", "us/read") { $0.processorSeconds / $0.reads * 1e6 })
        rows.append(.plain("stripes", "\(name), reads of L3", fromL3 / reads * 100, "%"))
        rows.append(.plain("stripes", "\(name), wrong bytes", Double(wrong), "reads", target: .atMost(0)))
        return rows
    }
}
