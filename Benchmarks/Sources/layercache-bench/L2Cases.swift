import CacheCore
import Foundation

/// Chunks that zstd cannot shorten, so that every body has 512 KiB, with their names.
private struct Bodies: Sendable {
    let names: [String]
    let bodies: [Data]

    init(count: Int, seed: UInt64) {
        var state = seed
        var names: [String] = []
        bodies = (0..<count).map { _ in
            var body = Data(count: ChunkLimits.plainBytes)
            body.withUnsafeMutableBytes { bytes in
                for offset in stride(from: 0, to: bytes.count, by: 8) {
                    // SplitMix64 (Steele, Lea, Flood 2014).
                    state &+= 0x9e37_79b9_7f4a_7c15
                    var word = state
                    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
                    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
                    bytes.storeBytes(of: word ^ (word >> 31), toByteOffset: offset, as: UInt64.self)
                }
                names.append(ChunkID(ofSealed: UnsafeRawBufferPointer(bytes)).hex)
            }
            return body
        }
        self.names = names
    }

    var byteCount: Double { Double(bodies.count * ChunkLimits.plainBytes) }

    /// PUT of every body over `threads` connections.
    func put(port: Int, threads: Int) throws -> (samples: [Double], seconds: Double) {
        try load(threads: threads, total: bodies.count, port: port) { connection, number in
            let body = bodies[number]
            try connection.send(
                "PUT /v1/chunks/\(names[number]) HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: \(body.count)\r\n\r\n")
            try body.withUnsafeBytes { try connection.send($0) }
            let answer = try connection.answer(upTo: "\r\n\r\n")
            guard answer.hasPrefix("HTTP/1.1 201") else {
                throw BenchError("PUT was answered \(answer.prefix { $0 != "\r\n" })")
            }
        }
    }

    /// SET of every body, in the protocol of Redis.
    func set(port: Int, threads: Int) throws -> (samples: [Double], seconds: Double) {
        try load(threads: threads, total: bodies.count, port: port) { connection, number in
            let body = bodies[number]
            try connection.send("*3\r\n$3\r\nSET\r\n$64\r\n\(names[number])\r\n$\(body.count)\r\n")
            try body.withUnsafeBytes { try connection.send($0) }
            try connection.send("\r\n")
            let answer = try connection.answer(upTo: "\r\n")
            guard answer.hasPrefix("+OK") else { throw BenchError("SET was answered \(answer)") }
        }
    }
}

/// What `wrk` found in one run.
private struct WrkReport: Decodable {
    let bytes: Double
    let microseconds: Double
    let errors: Int
    /// Latency in microseconds at the percentiles 0.5, 1, 1.5 ... 99.5, and 99.9.
    let latency: [Double]

    var gigabytesPerSecond: Double { bytes / microseconds / 1e3 }
}

/// Runs of one server, kept together.
private struct Served {
    let name: String
    var reports: [WrkReport] = []

    var gigabytesPerSecond: Double { reports.map(\.gigabytesPerSecond).median }

    func latency(_ index: Int) -> Double { reports.map { $0.latency[index] }.median }

    var series: Series {
        guard let count = reports.first?.latency.count else { return Series(name, []) }
        return Series(
            name,
            (0..<count).map { (latency($0), $0 == count - 1 ? 0.999 : Double($0 + 1) / 200) })
    }
}

private let wrkScript = """
    local paths, turn = {}, 0
    for name in io.lines(os.getenv("BENCH_NAMES")) do paths[#paths + 1] = "/v1/chunks/" .. name end
    request = function()
        turn = turn % #paths + 1
        return wrk.format("GET", paths[turn])
    end
    done = function(summary, latency)
        local e = summary.errors
        local errors = e.connect + e.read + e.write + e.status + e.timeout
        local parts = {}
        for step = 1, 199 do parts[#parts + 1] = latency:percentile(step / 2) end
        parts[#parts + 1] = latency:percentile(99.9)
        io.write(string.format('\\n{"bytes":%d,"microseconds":%d,"errors":%d,"latency":[%s]}\\n',
            summary.bytes, summary.duration, errors, table.concat(parts, ",")))
    end
    """

func runL2Get(_ context: Context) throws -> CaseResult {
    guard let wrk = installed("wrk") else {
        return CaseResult(
            method: "Not run: wrk, which asks for the chunks, is not installed (Scripts/bootstrap bench).")
    }
    let workspace = context.workspace
    let bodies = Bodies(count: 400, seed: 1)
    let files = try workspace.freshDirectory("www")
    try FileManager.default.createDirectory(atPath: "\(files)/v1/chunks", withIntermediateDirectories: true)
    for (name, body) in zip(bodies.names, bodies.bodies) {
        try body.write(to: URL(fileURLWithPath: "\(files)/v1/chunks/\(name)"))
    }
    try (bodies.names.joined(separator: "\n") + "\n").write(
        toFile: "\(workspace.root)/names", atomically: false, encoding: .utf8)
    try wrkScript.write(toFile: "\(workspace.root)/get.lua", atomically: false, encoding: .utf8)

    let memory = try Daemon.layercache(workspace, store: workspace.fresh("l2-memory"), memory: "512MiB")
    defer { memory.stop() }
    _ = try bodies.put(port: memory.port, threads: 4)
    let disk = try Daemon.layercache(workspace, store: workspace.fresh("l2-disk"), memory: "0")
    defer { disk.stop() }
    _ = try bodies.put(port: disk.port, threads: 4)
    let nginx = try Daemon.nginx(workspace, root: files)
    defer { nginx?.stop() }

    var servers = [(Served(name: "layercache, memory"), memory), (Served(name: "layercache, LMDB"), disk)]
    if let nginx { servers.append((Served(name: "nginx, sendfile"), nginx)) }
    let duration = workspace.quick ? 1 : 4
    for round in 0..<(workspace.quick ? 1 : 5) {
        for index in round % 2 == 0 ? Array(servers.indices) : servers.indices.reversed() {
            let child = try workspace.start(
                [
                    wrk, "-t1", "-c16", "-d\(duration)s", "-s", "\(workspace.root)/get.lua",
                    "http://127.0.0.1:\(servers[index].1.port)",
                ], ["BENCH_NAMES": "\(workspace.root)/names"])
            _ = try child.success()
            let line = child.output.split(separator: "\n").last { $0.hasPrefix("{") } ?? ""
            let report = try JSONDecoder().decode(WrkReport.self, from: Data(line.utf8))
            guard report.errors == 0 else { throw BenchError("\(servers[index].0.name): \(report.errors) GETs failed") }
            servers[index].0.reports.append(report)
        }
    }
    return l2GetResult(servers.map(\.0), hasNginx: nginx != nil, seconds: duration)
}

private func l2GetResult(_ served: [Served], hasNginx: Bool, seconds: Int) -> CaseResult {
    let (memory, disk) = (served[0], served[1])
    let nginx = hasNginx ? served[2] : nil
    let p99 = 197
    return CaseResult(
        rows: [
            .compared(
                "l2-get", "from memory", memory.gigabytesPerSecond, "GB/s", to: "nginx with sendfile",
                nginx?.gigabytesPerSecond, target: .atLeast(2)),
            .compared(
                "l2-get", "p99 from memory", memory.latency(p99) / 1e3, "ms", to: "nginx with sendfile",
                nginx.map { $0.latency(p99) / 1e3 }, target: .atMost(1)),
            .compared(
                "l2-get", "from LMDB (--memory 0)", disk.gigabytesPerSecond, "GB/s", to: "nginx with sendfile",
                nginx?.gigabytesPerSecond),
            .compared(
                "l2-get", "p99 from LMDB", disk.latency(p99) / 1e3, "ms", to: "nginx with sendfile",
                nginx.map { $0.latency(p99) / 1e3 }),
        ],
        figures: [
            .bars(
                name: "l2-get", title: "L2 GET of 512 KiB chunks, one server thread", unit: "GB/s",
                bars: served.enumerated().map { Bar($1.name, $1.gigabytesPerSecond, isOurs: $0 < 2) }),
            .distribution(
                name: "l2-get-latency", title: "L2 GET of 512 KiB, 16 connections", unit: "ms",
                series: served.map { Series($0.name, $0.series.points.map { ($0.x / 1e3, $0.y) }) }),
        ],
        method:
            "400 chunks of 512 KiB; `wrk -t1 -c16`, \(seconds) s a run, \(memory.reports.count) runs of each server in "
            + "turns, medians. One network thread for layercache, one worker for nginx."
    )
}

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
