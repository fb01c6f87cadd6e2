import Foundation

func runL2Put(_ context: Context) throws -> CaseResult {
    let workspace = context.workspace
    let bodies = Bodies(count: workspace.quick ? 100 : 800, seed: 2)
    let connections = 16
    var ours: [(samples: [Double], seconds: Double)] = []
    var theirs: [(samples: [Double], seconds: Double)] = []
    for _ in 0..<(workspace.quick ? 1 : 3) {
        let daemon = try Daemon.layercache(workspace, store: workspace.fresh("l2-put"), memory: "256MiB")
        defer { daemon.stop() }
        ours.append(try bodies.put(port: daemon.port, threads: connections))
        guard let redis = try Daemon.redis(workspace) else { continue }
        defer { redis.stop() }
        theirs.append(try bodies.set(port: redis.port, threads: connections))
    }
    func rate(_ runs: [(samples: [Double], seconds: Double)]) -> Double {
        bodies.byteCount / runs.map(\.seconds).median / 1e6
    }
    let ourSamples = ours.flatMap(\.samples).map { $0 * 1e3 }
    let theirSamples = theirs.flatMap(\.samples).map { $0 * 1e3 }
    var series = [Series("PUT, layercache", cumulative: ourSamples)]
    if !theirs.isEmpty { series.append(Series("SET, redis", cumulative: theirSamples)) }
    return CaseResult(
        rows: [
            .compared(
                "l2-put", "hashed, committed to LMDB", rate(ours), "MB/s", to: "redis SET, memory only",
                theirs.isEmpty ? nil : rate(theirs)),
            .compared(
                "l2-put", "p99", ourSamples.percentile(0.99), "ms", to: "redis SET, memory only",
                theirs.isEmpty ? nil : theirSamples.percentile(0.99)),
        ],
        figures: [
            .distribution(name: "l2-put", title: "L2 PUT of 512 KiB, 16 connections", unit: "ms", series: series)
        ],
        method:
            "\(bodies.bodies.count) new chunks of 512 KiB over \(connections) connections, \(ours.count) runs of each "
            + "in turns. Ours checks the name and writes to disk; redis does neither."
    )
}
