import Foundation

/// GETs of chunks of 512, 64 and 4 KiB: ours from memory and from LMDB, nginx with sendfile and redis, each with one
/// thread for the network; ours and nginx through TLS as well.
func runL2Get(_ context: Context) throws -> CaseResult {
    let workspace = context.workspace
    guard let wrk = try Wrk(workspace) else {
        return CaseResult(
            method: "Not run: wrk, which asks for the chunks, is not installed (Scripts/bootstrap bench).")
    }
    let sizes = [
        Bodies(count: 400, seed: 1), Bodies(count: 800, seed: 2, length: 64 << 10),
        Bodies(count: 4_000, seed: 3, length: 4 << 10),
    ]
    let plain = try GetServers(workspace, sizes, certificate: nil)
    defer { plain.stop() }
    let identity = try Certificate(workspace)
    let secured = try identity.map { try GetServers(workspace, sizes, certificate: $0) }
    defer { secured?.stop() }

    var all = plain.served + (secured?.served ?? [])
    let seconds = workspace.quick ? 1 : 2
    // What is not in memory or in the page cache yet comes in here.
    for index in all.indices {
        var warming = all[index]
        try warming.run(wrk, seconds: 1)
    }
    let daemons = all.map(\.daemon)
    for daemon in daemons { daemon.signal(SIGSTOP) }
    defer { for daemon in daemons { daemon.signal(SIGCONT) } }
    let rounds = workspace.quick ? 1 : 7
    var redis: [Double] = []
    for round in 0..<rounds {
        for index in round % 2 == 0 ? Array(all.indices) : all.indices.reversed() {
            try all[index].runAlone(wrk, seconds: seconds)
        }
        if let rate = try plain.redisRate(requests: workspace.quick ? 4_000 : 12_000) { redis.append(rate) }
    }
    let groups = Dictionary(grouping: all) { $0.daemon.url.hasPrefix("https") }
    var result = CaseResult(
        method:
            "400 chunks of 512 KiB, 800 of 64, 4,000 of 4; `wrk -t1 -c16`, \(seconds) s a run, \(rounds) runs of each "
            + "server in turns, medians; redis by `redis-benchmark -c 16`. One thread for the network in each server. "
            + "The other servers stand still meanwhile: what ours do beside (scrub, sweeps) is not the others' time. "
            + "TLS: one key of P-256, no session resumed, ciphers as each prefers them.")
    for (isSecured, name) in [(false, "l2-get"), (true, "l2-get-tls")] {
        guard let served = groups[isSecured] else { continue }
        result.rows += rows(name, served, redis: isSecured || redis.isEmpty ? nil : redis.median)
        let large = served.filter { $0.length == sizes[0].length }
        let title = "L2 GET of 512 KiB" + (isSecured ? " through TLS" : "")
        result.figures += [
            .bars(
                name: name, title: "\(title), one server thread", unit: "GB/s",
                bars: large.map { Bar($0.name, $0.gigabytesPerSecond, isOurs: !$0.isYardstick) }),
            .distribution(
                name: "\(name)-latency", title: "\(title), 16 connections", unit: "ms", series: large.map(\.series)),
        ]
    }
    if secured == nil { result.skipped.append("TLS: openssl, which makes the certificate, is not installed") }
    return result
}

private func rows(_ name: String, _ served: [Served], redis: Double?) -> [Row] {
    let isSecured = name.hasSuffix("tls")
    let yardstick = isSecured ? "nginx with TLS" : "nginx with sendfile"
    var rows: [Row] = []
    for ours in served where !ours.isYardstick {
        let theirs = served.first { $0.isYardstick && $0.length == ours.length }
        let what = "\(ours.length >> 10) KiB \(ours.source)"
        let target: Target = .atLeast(!isSecured && ours.isLargeFromMemory ? 2 : 1)
        rows.append(
            .compared(
                name, what, ours.gigabytesPerSecond, "GB/s", to: yardstick, theirs?.gigabytesPerSecond, target: target))
        rows.append(.compared(name, "\(what), p99", ours.p99, "ms", to: yardstick, theirs?.p99, target: .atMost(1)))
        if ours.isLargeFromMemory, !isSecured {
            rows.append(
                .compared(
                    name, what, ours.gigabytesPerSecond, "GB/s", to: "redis GET", redis, target: .atLeast(1)))
        }
    }
    return rows
}

extension Served {
    fileprivate static let yardstick = "nginx"
    fileprivate static let memory = "from memory"

    fileprivate var isYardstick: Bool { name.hasPrefix(Self.yardstick) }
    fileprivate var source: String { String(name.drop { $0 != "," }.dropFirst(2)) }
    fileprivate var isLargeFromMemory: Bool { length > 64 << 10 && source == Self.memory }
}

/// A certificate that clients need not know, for this run alone.
private struct Certificate {
    let file: String
    let key: String

    /// - Returns: `nil` where openssl is not installed.
    init?(_ workspace: Workspace) throws {
        guard let openssl = installed("openssl") else { return nil }
        let home = try workspace.freshDirectory("tls")
        file = "\(home)/cert.pem"
        key = "\(home)/key.pem"
        try workspace.run([
            openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", file,
        ])
    }
}

/// The servers of one kind, plain or secured, and what is asked of them.
private struct GetServers {
    private(set) var served: [Served] = []
    private var daemons: [Daemon] = []
    private var redis: Daemon?
    private let workspace: Workspace
    private let length: Int
    private let count: Int

    init(_ workspace: Workspace, _ sizes: [Bodies], certificate: Certificate?) throws {
        self.workspace = workspace
        length = sizes[0].length
        count = sizes[0].names.count
        let tls = certificate.map { (certificate: $0.file, key: $0.key) }
        let store = workspace.fresh("l2")
        let files = try workspace.freshDirectory("www")
        // Filled in the clear, and served from then on as it is to be.
        let filled = try Daemon.layercache(workspace, store: store, memory: "0")
        for bodies in sizes {
            _ = try bodies.put(port: filled.port, threads: 4)
            try bodies.write(below: files)
        }
        filled.stop()
        let memory = try Daemon.layercache(workspace, store: store, memory: "512MiB", tls: tls)
        daemons.append(memory)
        let nginx = try Daemon.nginx(workspace, root: files, tls: tls)
        if let nginx { daemons.append(nginx) }
        for bodies in sizes {
            let names = workspace.fresh("names")
            try (bodies.names.joined(separator: "\n") + "\n").write(toFile: names, atomically: false, encoding: .utf8)
            served.append(Served("layercache, \(Served.memory)", memory, names: names, length: bodies.length))
            if let nginx { served.append(Served(Served.yardstick, nginx, names: names, length: bodies.length)) }
            guard tls == nil, bodies.length == length else { continue }
            let copy = workspace.fresh("l2")
            let disk = try Daemon.layercache(workspace, store: copy, memory: "0")
            daemons.append(disk)
            _ = try bodies.put(port: disk.port, threads: 4)
            served.append(Served("layercache, from LMDB", disk, names: names, length: bodies.length))
        }
        guard tls == nil, installed("redis-benchmark") != nil else { return }
        redis = try Daemon.redis(workspace)
        if let redis {
            daemons.append(redis)
            _ = try sizes[0].set(port: redis.port, threads: 4)
        }
    }

    func stop() { for daemon in daemons { daemon.stop() } }

    /// What redis serves, in GB/s; `nil` where it is not installed.
    func redisRate(requests: Int) throws -> Double? {
        guard let redis, let program = installed("redis-benchmark") else { return nil }
        let child = try workspace.start([
            program, "-p", "\(redis.port)", "-c", "16", "-n", "\(requests)", "-r", "\(count)", "--csv", "GET",
            "key:__rand_int__",
        ])
        _ = try child.success()
        // "GET key:__rand_int__","9000.00",...
        let fields = child.lastLine.split(separator: ",").map { $0.filter { $0 != "\"" } }
        guard fields.count > 1, let rate = Double(fields[1]) else {
            throw BenchError("redis-benchmark said '\(child.lastLine)'")
        }
        return rate * Double(length) / 1e9
    }
}
