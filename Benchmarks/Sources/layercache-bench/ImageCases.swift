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
            Peer(
                name: "borg, encrypted",
                prepare: { workspace, path in
                    try workspace.run([borg ?? "", "init", "--encryption=repokey-blake2", path])
                    return [borg ?? "", "create", "--compression", "zstd,1", "\(path)::1", tars]
                }, isInstalled: borg != nil),
        ]
    }
}

func runPush(_ context: Context) throws -> CaseResult {
    let workspace = context.workspace
    let image = try context.image()
    let deployment = try Deployment(workspace)
    let peers = Peer.all(tars: image.tarDirectory)
    var usages: [String: [Child.Usage]] = [:]
    var report: PushReport?
    for _ in 0..<(workspace.quick ? 2 : 5) {
        let pushed = try deployment.push("oci:\(image.layout)", as: "bench/image:1", to: workspace.fresh("push-l3"))
        report = pushed.report
        usages["layercache", default: []].append(pushed.usage)
        for peer in peers where peer.isInstalled {
            let path = workspace.fresh("push-\(peer.name)")
            // A repository of its own must not find what the tool remembers of the last one.
            try workspace.forgetHome()
            let command = try peer.prepare(workspace, path)
            usages[peer.name, default: []].append(try workspace.run(command))
        }
    }
    func rate(_ name: String) -> Double? {
        usages[name].map { image.byteCount / $0.map(\.seconds).least / 1e6 }
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
    rows.append(.plain("push", "CPU", our.map(\.cpuSeconds).least / image.byteCount * 1e9, "s/GB"))
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
            "\((image.byteCount / 1e6).short) MB of layers as plain tar into an empty store, the fastest of "
            + "\(our.count) runs of each in turns: on a virtual machine a page of memory that the host has taken "
            + "back costs more than what is measured. casync make; restic backup (its default compression, "
            + "encrypted); borg create zstd,1, once not encrypted and once as sealed chunks are."
    )
}

/// Raw file and image out of a warm L2, to a file.
func runPull(_ context: Context) throws -> CaseResult {
    let workspace = context.workspace
    let image = try context.image()
    let deployment = try Deployment(workspace)
    let l3 = workspace.fresh("pull-l3")
    let disk = workspace.fresh("disk.img")
    try workspace.run(["/bin/sh", "-c", "cat \"$@\" > \"$0\"", disk] + image.tars)
    _ = try deployment.push("oci:\(image.layout)", as: "bench/image:1", to: l3)
    _ = try deployment.push("file:\(disk)", as: "bench/disk:1", to: l3)
    let daemon = try Daemon.layercache(workspace, store: workspace.fresh("pull-l2"), memory: "1GiB")
    defer { daemon.stop() }
    func pull(_ ref: String, _ kind: String) throws -> Child.Usage {
        let path = workspace.fresh("pulled")
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try workspace.layercache(
            [
                "pull", ref, "\(kind):\(path)", "--l2", daemon.url, "--l3", l3, "--keyring",
                deployment.keyring, "--json",
            ]
        ).usage
    }
    let kinds = [("bench/disk:1", "file"), ("bench/image:1", "oci-archive")]
    var usages: [String: [Child.Usage]] = [:]
    for round in 0...(workspace.quick ? 2 : 7) {
        for (ref, kind) in kinds {
            let usage = try pull(ref, kind)
            // The first one fills L2.
            if round > 0 { usages[kind, default: []].append(usage) }
        }
    }
    func rate(_ kind: String, _ seconds: (Child.Usage) -> Double) -> Double {
        image.byteCount / (usages[kind] ?? []).map(seconds).least / 1e9
    }
    let bare = BareChunks(try context.sample())
    let hash = BareCodec()
    let sample = try context.sample()
    let file = try BareFile(workspace.fresh("written"))
    func bareSeconds(_ body: (Int) throws -> Void) throws -> Double {
        try (0..<context.rounds).map { _ in
            try file.clear()
            return try seconds { for number in 0..<sample.count { try body(number) } }.0
        }.median
    }
    let open = try bareSeconds { try bare.open($0) }
    let write = try bareSeconds { try file.append(sample[$0]) }
    let openAndHash = open + (try bareSeconds { hash.hash(sample[$0]) })
    let cores = Double(ProcessInfo.processInfo.activeProcessorCount)
    let perCore = kinds.map { rate($0.1, \.cpuSeconds) }
    let wall = kinds.map { rate($0.1, \.seconds) }
    let most = usages.values.joined().map(\.residentBytes).max() ?? 0
    return CaseResult(
        rows: [
            .plain("pull", "raw file, a second of client CPU", perCore[0], "GB/s", target: .atLeast(0.8)),
            .compared(
                "pull", "the same, beside its primitives", perCore[0], "GB/s",
                to: "SHA-256 + AES-CTR + zstd, bare, one core", sample.byteCount / open / 1e9),
            .plain("pull", "image and its diffIDs, a second of client CPU", perCore[1], "GB/s", target: .atLeast(0.8)),
            .compared(
                "pull", "the same, beside its primitives", perCore[1], "GB/s",
                to: "these + SHA-256 of the plaintext, bare, one core", sample.byteCount / openAndHash / 1e9),
            .compared(
                "pull", "the same, beside its primitives and its file", perCore[1], "GB/s",
                to: "these + write to a file, bare, one core", sample.byteCount / (openAndHash + write) / 1e9),
            .plain("pull", "raw file, wall clock, client and daemon on \(cores.short) cores", wall[0], "GB/s"),
            .plain("pull", "image, wall clock, client and daemon on \(cores.short) cores", wall[1], "GB/s"),
            .plain("pull", "most memory", most / 1_048_576, "MiB", target: .atMost(300)),
        ],
        figures: [
            .bars(
                name: "pull", title: "Pull of what L2 holds, to a file", unit: "GB/s",
                bars: [
                    Bar("raw file, a second of client CPU", perCore[0], isOurs: true),
                    Bar("bare opening, one core", sample.byteCount / open / 1e9),
                    Bar("image and diffIDs, a second of client CPU", perCore[1], isOurs: true),
                    Bar("bare opening and SHA-256, one core", sample.byteCount / openAndHash / 1e9),
                    Bar("raw file, wall clock, \(cores.short) cores", wall[0], isOurs: true),
                    Bar("image, wall clock, \(cores.short) cores", wall[1], isOurs: true),
                ])
        ],
        method:
            "\((image.byteCount / 1e6).short) MB: once as one raw file to a file, once as an image to an OCI archive "
            + "in which every layer's diffID is checked. Every chunk from a warm L2 on the same machine, no L1. "
            + "\((usages["file"] ?? []).count) runs of each in turns, the best of them."
    )
}
