import CacheClient
import CacheCore
import Foundation
import Synchronization

/// An object store in a far place: each read of a chunk takes a while. Counts them, and how many there are at once.
private final class FarStore: ObjectStoreDecorator {
    struct Reads {
        var total = 0
        var now = 0
        var most = 0
    }

    private let store: any ObjectStore
    private let latency: Duration
    private let reads = Mutex(Reads())

    init(_ store: any ObjectStore, latency: Duration) {
        self.store = store
        self.latency = latency
    }

    var counts: Reads { reads.withLock { $0 } }

    func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        guard call.name.contains("/chunks/") else { return try await body(store) }
        reads.withLock { reads in
            reads.total += 1
            reads.now += 1
            reads.most = max(reads.most, reads.now)
        }
        defer { reads.withLock { $0.now -= 1 } }
        try await Task.sleep(for: latency)
        return try await body(store)
    }
}

/// What L2 was good for within each tenth of a second of a storm.
private struct HitRatio {
    private static let step = 0.1
    private(set) var points: [(x: Double, y: Double)] = []
    private var last = (l2: 0, all: 0)

    mutating func look(at seconds: Double, l2: Int, l3: Int) {
        let all = l2 + l3
        guard all > last.all else { return }
        points.append((seconds, Double(l2 - last.l2) / Double(all - last.all)))
        last = (l2, all)
    }

    var overall: Double { Double(last.l2) / Double(max(last.all, 1)) }

    /// When it was 0.9 or more for good.
    var recovery: Double {
        guard let worst = points.lastIndex(where: { $0.y < 0.9 }) else { return points.first?.x ?? 0 }
        return worst + 1 < points.count ? points[worst + 1].x : points[worst].x
    }

    static var interval: Duration { .seconds(step) }
}

/// One storm: workers with nothing in L1 that all read one image at once.
private struct Storm {
    let workers: Int
    /// Reads of L3 that each may have under way.
    let limit: Int
    let keyring: String
    let l3: String

    struct Outcome {
        let reads: FarStore.Reads
        let seconds: Double
        let ratio: HitRatio
        let refused: Int
    }

    func run(l2: String) async throws -> Outcome {
        let store = FarStore(try ObjectStoreLocation.parse(l3).open(create: false), latency: .milliseconds(36))
        let keys = try Keyring(contentsOf: keyring)
        let reference = try ImageReference(parsing: "bench/new:1")
        var caches: [LayerCache] = []
        for _ in 0..<workers {
            var configuration = CacheConfiguration(l2: [l2], l3: store)
            configuration.threads = 2
            configuration.l3Concurrency = limit
            caches.append(try await LayerCache.open(configuration))
        }
        let began = ContinuousClock.now
        var ratio = HitRatio()
        let refused = try await withThrowingTaskGroup(of: Bool.self) { group in
            for cache in caches {
                group.addTask {
                    do {
                        let image = try await cache.image(reference, keyring: keys)
                        for layer in image.layers { for try await _ in layer.bytes {} }
                        return true
                    } catch let error as CacheError where error.code == .overloaded {
                        return false
                    }
                }
            }
            let watch = Task { [caches] in
                var ratio = HitRatio()
                func look() {
                    let counts = caches.map(\.counts)
                    ratio.look(
                        at: (ContinuousClock.now - began) / .seconds(1),
                        l2: counts.reduce(0) { $0 + $1.l2.chunks }, l3: counts.reduce(0) { $0 + $1.l3.chunks })
                }
                while !Task.isCancelled {
                    try? await Task.sleep(for: HitRatio.interval)
                    look()
                }
                return ratio
            }
            defer { watch.cancel() }
            var refused = 0
            for try await isDone in group where !isDone { refused += 1 }
            watch.cancel()
            ratio = await watch.value
            return refused
        }
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        for cache in caches { try await cache.close() }
        return Outcome(reads: store.counts, seconds: seconds, ratio: ratio, refused: refused)
    }
}

/// Every worker starts at once on empty L1 and L2, above an L3 that is far away; once with an L2 that has room for all,
/// once with one that sheds.
func runEmptyCache(_ context: Context) async throws -> CaseResult {
    let workspace = context.workspace
    let deployment = try Deployment(workspace)
    let source = workspace.fresh("new")
    var noise = SystemRandomNumberGenerator()
    let words = (workspace.quick ? 8 : 64) << 17
    let content = (0..<words).map { _ in noise.next() }
    try content.withUnsafeBytes { try Data($0).write(to: URL(fileURLWithPath: source)) }
    let l3 = workspace.fresh("l3")
    let chunks = Double(try deployment.push("file:\(source)", as: "bench/new:1", to: l3).report.chunks.total)
    let storm = Storm(workers: workspace.quick ? 8 : 32, limit: 8, keyring: deployment.keyring, l3: l3)
    var result = CaseResult()
    var series: [Series] = []
    for (name, options) in [("all have room", []), ("L2 sheds", ["--connections", "\(storm.workers * 2)"])] {
        let daemon = try Daemon.layercache(
            workspace, store: workspace.fresh("l2-storm"), memory: "256MiB", options: options)
        defer { daemon.stop() }
        let outcome = try await storm.run(l2: daemon.url)
        let isShed = !options.isEmpty
        result.rows += [
            .plain(
                "empty-cache", "reads of L3 a chunk, \(name)", Double(outcome.reads.total) / chunks, "",
                target: isShed ? nil : .atMost(1)),
            .plain(
                "empty-cache", "most reads of L3 at once, \(name)", Double(outcome.reads.most), "",
                target: .atMost(Double(storm.workers * storm.limit))),
            .plain("empty-cache", "hit ratio of L2, \(name)", outcome.ratio.overall, ""),
            .plain("empty-cache", "until 9 of 10 reads are hits for good, \(name)", outcome.ratio.recovery, "s"),
            .plain("empty-cache", "until all have the image, \(name)", outcome.seconds, "s"),
            .plain("empty-cache", "workers refused, \(name)", Double(outcome.refused), "", target: .atMost(0)),
        ]
        series.append(Series(name, outcome.ratio.points))
    }
    result.figures = [
        .timeline(
            name: "empty-cache", title: "Hit ratio of L2 from an empty cache", unit: "share of reads below L1",
            series: series, mark: nil)
    ]
    result.method =
        "\(storm.workers) workers with nothing in L1 read one image of \(Int(chunks)) chunks at once; L2 is empty, and "
        + "a read of L3 takes 36 ms. Each worker may have \(storm.limit) reads of L3 under way. Where L2 sheds it has "
        + "two connections for each worker."
    return result
}
