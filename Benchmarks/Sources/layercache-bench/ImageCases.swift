import CacheCore
import Foundation

/// A tool that stores the same tars; `nil` results are tools that are not installed.
private struct Peer {
    let name: String
    /// Makes an empty repository at a path and returns the command that fills it.
    let prepare: (Workspace, String) throws -> [String]
    let isInstalled: Bool

    static func all(tars: String) -> [Peer] {
        let casync = installed("casync")
        let restic = installed("restic")
        let borg = installed("borg")
        return [
            Peer(
                name: "casync",
                prepare: { workspace, path in
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                    return [casync ?? "", "make", "--store=\(path)/store.castr", "\(path)/index.caidx", tars]
                }, isInstalled: casync != nil),
            Peer(
                name: "restic",
                prepare: { workspace, path in
                    let secret = "\(workspace.root)/restic-password"
                    try "benchmark\n".write(toFile: secret, atomically: false, encoding: .utf8)
                    let start = [restic ?? "", "--repo", path, "--password-file", secret, "--quiet"]
                    try workspace.run(start + ["init"])
                    return start + ["backup", tars]
                }, isInstalled: restic != nil),
            Peer(
                name: "borg",
                prepare: { workspace, path in
                    try workspace.run([borg ?? "", "init", "--encryption=none", path])
                    return [borg ?? "", "create", "--compression", "zstd,1", "\(path)::1", tars]
                }, isInstalled: borg != nil),
        ]
    }
}

/// The contract's JSON, as far as it is needed here.
private struct PushReport: Decodable {
    struct Chunks: Decodable { let total: Int }
    struct Bytes: Decodable { let logical, new, uploaded: Double }
    let chunks: Chunks
    let bytes: Bytes
}

/// Keys and an L3 directory for the image cases.
private struct Deployment {
    let workspace: Workspace
    let keyring: String

    init(_ workspace: Workspace) throws {
        self.workspace = workspace
        keyring = try workspace.fresh("keyring")
        _ = try workspace.layercache(["keygen", "bench", "--keyring", keyring, "--quiet"])
    }

    func push(_ source: String, to l3: String) throws -> (report: PushReport, usage: Child.Usage) {
        let (output, usage) = try workspace.layercache(
            ["push", source, "bench/image:1", "--l3", l3, "--keyring", keyring, "--json"])
        guard let line = output.split(separator: "\n").last(where: { $0.hasPrefix("{") }) else {
            throw BenchError("push --json printed no object")
        }
        return (try JSONDecoder().decode(PushReport.self, from: Data(line.utf8)), usage)
    }
}

func runPush(_ context: Context) throws -> CaseResult {
    let workspace = context.workspace
    let image = try context.image()
    let deployment = try Deployment(workspace)
    let peers = Peer.all(tars: image.tarDirectory)
    var usages: [String: [Child.Usage]] = [:]
    var report: PushReport?
    for _ in 0..<(workspace.quick ? 1 : 3) {
        let pushed = try deployment.push("oci:\(image.layout)", to: try workspace.fresh("push-l3"))
        report = pushed.report
        usages["layercache", default: []].append(pushed.usage)
        for peer in peers where peer.isInstalled {
            let path = try workspace.fresh("push-\(peer.name)")
            // A repository of its own must not find what the tool remembers of the last one.
            _ = try workspace.fresh("home")
            let command = try peer.prepare(workspace, path)
            usages[peer.name, default: []].append(try workspace.run(command))
            try FileManager.default.removeItem(atPath: path)
        }
    }
    func rate(_ name: String) -> Double? {
        usages[name].map { image.byteCount / $0.map(\.seconds).median / 1e6 }
    }
    let ours = rate("layercache") ?? 0
    let fastest = peers.compactMap { peer in rate(peer.name).map { (peer.name, $0) } }.max { $0.1 < $1.1 }
    var rows: [Row] = [
        .compared(
            "push", "tar stored", ours, "MB/s",
            to: fastest.map { "\($0.0), the fastest peer" } ?? "casync, restic, borg", fastest?.1, target: .atLeast(2))
    ]
    rows += peers.map { .compared("push", "tar stored", ours, "MB/s", to: $0.name, rate($0.name)) }
    let our = usages["layercache"] ?? []
    rows.append(.plain("push", "CPU", our.map(\.cpuSeconds).median / image.byteCount * 1e9, "s/GB"))
    rows.append(
        .plain("push", "most memory", (our.map(\.residentBytes).max() ?? 0) / 1_048_576, "MiB", target: .atMost(300)))
    if let report {
        rows.append(
            .plain("push", "stored of \((report.bytes.logical / 1e6).short) MB", report.bytes.uploaded / 1e6, "MB"))
        rows.append(.plain("push", "chunks", Double(report.chunks.total), "chunks"))
    }
    return CaseResult(
        rows: rows,
        figures: [
            .bars(
                name: "push", title: "Storing the image's layers, both cores", unit: "MB/s",
                bars: [Bar("layercache push", ours, isOurs: true)]
                    + peers.compactMap { peer in rate(peer.name).map { Bar(peer.name, $0) } })
        ],
        method:
            "\((image.byteCount / 1e6).short) MB of layers as plain tar into an empty store, \(our.count) runs of each in turns. casync make; restic backup (its default compression, encrypted); borg create zstd,1, not encrypted."
    )
}

/// A whole image to an archive, all chunks from L2.
func runPull(_ context: Context) throws -> CaseResult {
    let workspace = context.workspace
    let image = try context.image()
    let deployment = try Deployment(workspace)
    let l3 = try workspace.fresh("pull-l3")
    _ = try deployment.push("oci:\(image.layout)", to: l3)
    let daemon = try Daemon.layercache(workspace, store: try workspace.fresh("pull-l2"), memory: "1GiB")
    defer { daemon.stop() }
    func pull() throws -> Child.Usage {
        try workspace.layercache(
            [
                "pull", "bench/image:1", "oci-archive:\(try workspace.fresh("pulled.tar"))", "--l2",
                "http://127.0.0.1:\(daemon.port)", "--l3", l3, "--keyring", deployment.keyring, "--json",
            ]
        ).usage
    }
    _ = try pull()
    let usages = try (0..<(workspace.quick ? 1 : 5)).map { _ in try pull() }
    let wall = usages.map(\.seconds).median
    let cpu = usages.map(\.cpuSeconds).median
    let cores = Double(ProcessInfo.processInfo.activeProcessorCount)

    let bare = BareChunks(try context.sample())
    let sample = try context.sample()
    let open = (0..<context.rounds).map { _ in seconds { for number in 0..<sample.count { try? bare.open(number) } }.0 }
    let bareRate = sample.byteCount / open.median / 1e9
    let perCore = image.byteCount / cpu / 1e9
    return CaseResult(
        rows: [
            .plain("pull", "plaintext per second of client CPU", perCore, "GB/s", target: .atLeast(0.8)),
            .compared(
                "pull", "the same, beside opening alone", perCore, "GB/s",
                to: "SHA-256 + AES-CTR + zstd, bare, one core",
                bareRate),
            .plain(
                "pull", "wall clock, client and daemon on \(cores.short) cores", image.byteCount / wall / 1e9, "GB/s"),
            .plain(
                "pull", "most memory", (usages.map(\.residentBytes).max() ?? 0) / 1_048_576, "MiB", target: .atMost(300)
            ),
        ],
        figures: [
            .bars(
                name: "pull", title: "Pull of an image that L2 holds, to an OCI archive", unit: "GB/s",
                bars: [
                    Bar("a second of client CPU", perCore, isOurs: true),
                    Bar("wall clock, \(cores.short) cores", image.byteCount / wall / 1e9, isOurs: true),
                    Bar("bare opening, one core", bareRate),
                ])
        ],
        method:
            "\((image.byteCount / 1e6).short) MB of layers to an OCI archive, every chunk from a warm L2 on the same machine, no L1; every layer's diffID is checked in it. \(usages.count) runs, medians."
    )
}
