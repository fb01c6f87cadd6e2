import Foundation

/// How a start was: whether L2 had the image, and whether its trace was fetched ahead.
private struct StartKind: Hashable {
    let isL2Warm: Bool
    let isTraced: Bool

    static let all = [true, false].flatMap { warm in [true, false].map { StartKind(isL2Warm: warm, isTraced: $0) } }

    var name: String { "L2 \(isL2Warm ? "warm" : "cold"), \(isTraced ? "with" : "without") a trace" }
}

/// All starts of one image and what they stand beside.
private struct StartsOfImage {
    let image: StartImage
    let treeBytes: Double
    let yardsticks: StartYardsticks
    private(set) var starts: [StartKind: [ColdStart]] = [:]

    /// - Parameters:
    ///   - rounds: starts of each kind with L2 warm.
    ///   - coldRounds: the same with L2 cold.
    init(_ fixture: StartFixture, rounds: Int, coldRounds: Int, yardstickRounds: Int) throws {
        image = fixture.image
        treeBytes = fixture.treeBytes
        try fixture.recordTrace()
        // In turns, so that what the machine does meanwhile meets all kinds alike.
        for round in 0..<max(rounds, coldRounds) {
            for kind in StartKind.all where round < (kind.isL2Warm ? rounds : coldRounds) {
                let start = try ColdStart(
                    fixture, isL2Warm: kind.isL2Warm, prefetch: kind.isTraced ? .trace : .none)
                starts[kind, default: []].append(start)
            }
        }
        yardsticks = try StartYardsticks(fixture, rounds: yardstickRounds)
    }

    func samples(_ kind: StartKind, _ part: KeyPath<ColdStart, Double>) -> [Double] {
        (starts[kind] ?? []).map { $0[keyPath: part] }
    }

    /// From a mount that is there and whose pages are all in memory.
    var warmSeconds: Double { starts.values.joined().map(\.warmSeconds).median }

    var rows: [Row] {
        StartKind.all.flatMap(rows(of:)) + otherRows
    }

    private func rows(of kind: StartKind) -> [Row] {
        let name = "\(image.name), \(kind.name)"
        let seconds = samples(kind, \.seconds)
        let moved = (starts[kind] ?? []).map(\.statistics.movedBytes)
        let isMiddle = image.name == "middle" && kind.isL2Warm
        var rows: [Row] = [
            .compared(
                "cold-start", "\(name): first output, p50", seconds.median, "s", to: "skopeo + umoci, local disk",
                yardsticks.unpack.isEmpty ? nil : yardsticks.unpack.median,
                target: kind.isL2Warm ? image.speedup.map { .atMost(1 / $0) } : nil)
        ]
        if seconds.count > 4 {
            rows.append(
                .plain("cold-start", "\(name): first output, p99 of \(seconds.count)", seconds.percentile(0.99), "s"))
        }
        rows.append(
            .plain(
                "cold-start", "\(name): more than from a warm mount, p50", seconds.median - warmSeconds, "s",
                target: isMiddle ? .atMost(kind.isTraced ? 0.25 : 0.6) : nil))
        rows.append(
            .plain(
                "cold-start", "\(name): bytes moved, p50", moved.median / 1e6, "MB",
                target: isMiddle && kind.isTraced ? .atMost(60) : nil))
        rows.append(
            .plain(
                "cold-start", "\(name): mounting alone, p50", samples(kind, \.mountSeconds).median * 1e3, "ms",
                target: kind.isL2Warm ? .atMost(100) : nil))
        return rows
    }

    private var otherRows: [Row] {
        var rows: [Row] = [
            .plain("cold-start", "\(image.name): from the same mount again, p50", warmSeconds, "s"),
            .plain(
                "cold-start", "\(image.name): mounted again by the same worker, p50",
                starts.values.joined().map(\.remountSeconds).median, "s"),
            .plain(
                "cold-start", "\(image.name): full pull dir: from a warm L2, then the program", yardsticks.pull, "s"),
        ]
        if !yardsticks.local.cold.isEmpty {
            rows += [
                .plain(
                    "cold-start", "\(image.name): EROFS file on the local disk, page cache empty",
                    yardsticks.local.cold.median, "s"),
                .plain("cold-start", "\(image.name): the same, page cache full", yardsticks.local.warm.median, "s"),
            ]
        }
        return rows
    }

    var figures: [Figure] {
        let traced = StartKind(isL2Warm: true, isTraced: true)
        let untraced = StartKind(isL2Warm: true, isTraced: false)
        return [
            .distribution(
                name: "cold-start-\(image.name)", title: "First output of the \(image.name) image, L2 warm, L1 empty",
                unit: "seconds",
                series: [
                    Series("from a warm mount", cumulative: starts.values.joined().map(\.warmSeconds)),
                    Series("with a trace", cumulative: samples(traced, \.seconds)),
                    Series("without", cumulative: samples(untraced, \.seconds)),
                ]),
            .bars(
                name: "cold-start-\(image.name)-others",
                title: "To the first output, \(image.name) image of \((treeBytes / 1e6).short) MB", unit: "s",
                bars: StartKind.all.map { Bar($0.name, samples($0, \.seconds).median, isOurs: true) }
                    + [Bar("pull dir:, L2 warm", yardsticks.pull)]
                    + (yardsticks.unpack.isEmpty ? [] : [Bar("skopeo + umoci", yardsticks.unpack.median)])
                    + (yardsticks.local.cold.isEmpty ? [] : [Bar("local EROFS, cold", yardsticks.local.cold.median)])),
        ]
    }
}

/// A program's first output from an image that its host has never seen.
func runColdStart(_ context: Context) throws -> CaseResult {
    var result = CaseResult()
    result.method =
        "From `layercache mount` (the worker runs, its L1 and memory are empty) to the first byte that a program in "
        + "the image prints: small is `print(1)` in Python, middle imports numpy and scipy.linalg, large imports "
        + "pandas and pyarrow from an image with tensorflow and more. L2 and worker on this machine; L2 warm: it has "
        + "every chunk; cold: a new one before L3, a directory. The page cache is dropped before each start and before "
        + "each yardstick. Bytes moved are sealed bytes from L2 and L3, once nothing is fetched ahead any more. skopeo "
        + "copies the image from one local layout to another, umoci unpacks it."
    if let obstacle = Host.mountObstacle {
        result.skipped.append(obstacle)
        return result
    }
    let workspace = context.workspace
    let deployment = try Deployment(workspace)
    if !workspace.quick {
        let missing = ["small", "middle", "large"].filter { name in !context.starts.contains { $0.name == name } }
        result.skipped += missing.map { "\($0): no image given (--start \($0)=DIR:TAG, Scripts/make-start-images)" }
    }
    for image in context.starts {
        let fixture = try StartFixture(image, workspace, deployment)
        defer { fixture.stop() }
        let isMiddle = image.name == "middle"
        let starts = try StartsOfImage(
            fixture, rounds: workspace.quick ? 1 : isMiddle ? 30 : 7, coldRounds: workspace.quick ? 1 : 3,
            yardstickRounds: workspace.quick || image.name == "large" ? 1 : 3)
        result.rows += starts.rows
        result.figures += starts.figures
        result.skipped += starts.yardsticks.skipped
    }
    return result
}
