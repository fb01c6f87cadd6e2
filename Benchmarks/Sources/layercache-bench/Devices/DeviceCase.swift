import Foundation

/// Where the bytes of a read come from.
private enum Source: String, CaseIterable {
    case pageCache = "page cache"
    case memory
    /// L1's own pages are in the page cache, as those of a host that has just pulled or read it are.
    case l1 = "L1"
    /// They are not.
    case l1Disk = "L1's disk"
    case l2 = "L2"
}

/// Reads of one file through a mount, through its bare device, and from the local disk.
private final class DeviceReads {
    private let fixture: DeviceFixture
    private let workspace: Workspace
    private let jobs: [FioJob]
    /// An L1 that has every chunk.
    private let fullL1: String
    /// What the worker's memory keeps for sure: half of the 64 MiB that it has for decoded chunks.
    private let windowBytes: Int
    private(set) var rows: [Row] = []
    private(set) var touches: [(name: String, microseconds: [Double])] = []
    /// What the same jobs found in the local EROFS file.
    private var local: [String: (cached: FioResult, cold: FioResult)] = [:]

    init(_ fixture: DeviceFixture) throws {
        self.fixture = fixture
        workspace = fixture.workspace
        jobs = FioJob.all(quick: workspace.quick)
        windowBytes = min(32 << 20, fixture.byteCount)
        fullL1 = workspace.fresh("device-l1")
        try fixture.mounted(l1: fullL1) { file in
            try file.readThrough(file.path, byteCount: file.byteCount, fixture.workspace)
        }
    }

    func measureLocal() throws {
        for job in jobs {
            let (cached, cold) = try measureLocal(job, fixture.plain)
            for (state, result) in [("disk", cold), ("page cache", cached)] {
                let title = "ext4, from \(state): \(job.name)"
                rows.append(
                    job.isSequential
                        ? .plain("device", title, result.bytesPerSecond / 1e9, "GB/s")
                        : .plain("device", "\(title), p50", result.percentile(0.5), "µs"))
            }
            if let path = fixture.local { local[job.name] = try measureLocal(job, path) }
        }
        if let path = fixture.local {
            try Host.dropCaches()
            touches.append(("EROFS on ext4", try FirstTouches.measure(path, byteCount: fixture.byteCount)))
        }
    }

    private func measureLocal(_ job: FioJob, _ path: String) throws -> (cached: FioResult, cold: FioResult) {
        try Host.dropCaches()
        let cold = try job.run(workspace, path, byteCount: fixture.byteCount)
        _ = try FioJob.readAll.run(workspace, path, byteCount: fixture.byteCount)
        return (try job.run(workspace, path, byteCount: fixture.byteCount), cold)
    }

    /// Reads through the mount from every source, then through the bare device, which has no page cache of its own.
    func measureMounted() throws {
        for (name, isBare) in [("through EROFS", false), ("bare device", true)] {
            for source in Source.allCases where !(isBare && source == .pageCache) {
                for job in jobs { try measure(job, name, isBare: isBare, source) }
            }
        }
    }

    /// What a second of CPU of worker and reader brought, of a run.
    private static func isWorse(_ one: (FioResult, Double), _ other: (FioResult, Double)) -> Bool {
        one.0.byteCount / one.1 < other.0.byteCount / other.1
    }

    private func measure(_ job: FioJob, _ name: String, isBare: Bool, _ source: Source) throws {
        // A run of a fraction of a second says little by itself: the middle one of three, each in a mount of its own.
        let rounds = job.isSequential && !workspace.quick ? 3 : 1
        let runs = try (0..<rounds).map { _ in
            try with(source, isBare: isBare) { file, path, byteCount in
                let before = Host.cpuSeconds(of: file.pid)
                let result = try job.run(self.workspace, path, byteCount: byteCount)
                return (result, result.cpuSeconds + Host.cpuSeconds(of: file.pid) - before)
            }
        }.sorted(by: Self.isWorse)
        let (result, cpu) = runs[rounds / 2]
        let title = "\(name), from \(source.rawValue): \(job.name)"
        let isCached = source == .pageCache
        let yardstick = local[job.name].map { isCached ? $0.cached : $0.cold }
        let beside = "EROFS on ext4, from \(isCached ? "page cache" : "disk")"
        if job.isSequential {
            rows.append(
                .compared(
                    "device", title, result.bytesPerSecond / 1e9, "GB/s", to: beside,
                    yardstick.map { $0.bytesPerSecond / 1e9 }))
            // The kernel counts a worker's CPU in steps of 10 ms: less than a few says nothing.
            if cpu >= 0.05 {
                rows.append(
                    .plain(
                        "device", "\(title), a second of CPU of worker and reader", result.byteCount / cpu / 1e9,
                        "GB/s", target: source == .l1 && !isBare ? .atLeast(1) : nil))
            }
        } else {
            rows += [
                .compared(
                    "device", "\(title), p50", result.percentile(0.5), "µs", to: beside, yardstick?.percentile(0.5),
                    target: job.blockBytes == 4096 && isCached ? .atMost(2) : nil),
                .compared(
                    "device", "\(title), p99", result.percentile(0.99), "µs", to: beside, yardstick?.percentile(0.99)),
            ]
        }
    }

    /// One read in each chunk: the distribution for each source, and the target for L1.
    func measureTouches(bareMicroseconds: Double) throws {
        var medians: [String: Double] = [:]
        for (isBare, source) in [(true, Source.memory), (false, .memory), (false, .l1), (false, .l2)] {
            let found = try with(source, isBare: isBare) { _, path, byteCount in
                try FirstTouches.measure(path, byteCount: byteCount)
            }
            if !isBare { touches.append((source.rawValue, found)) }
            medians["\(source.rawValue) \(isBare)"] = found.median
            let title = "\(isBare ? "bare device" : "through EROFS"), first touches, from \(source.rawValue)"
            rows += [
                .plain("device", "\(title), p50", found.median, "µs"),
                .plain("device", "\(title), p99", found.percentile(0.99), "µs"),
            ]
        }
        let roundTrip = medians["memory true"] ?? 0
        rows.append(
            .compared(
                "device", "first touch of a chunk from L1 through EROFS, p50", medians["L1 false"] ?? 0, "µs",
                to: "SHA-256 + AES-CTR + zstd bare, and one FUSE round trip", bareMicroseconds + roundTrip,
                target: .atMost(1.5)))
    }

    /// A mount whose reads come from `source`; the body gets the path and how many bytes of it to read.
    private func with<R>(
        _ source: Source, isBare: Bool, _ body: (MountedFile, String, Int) throws -> R
    ) throws -> R {
        let l1 = source == .l2 ? workspace.fresh("empty-l1") : fullL1
        return try fixture.mounted(l1: l1) { file in
            let path = isBare ? file.device : file.path
            // The device begins with the image's metadata, then come the file's chunks.
            let byteCount = source == .memory ? windowBytes : file.byteCount
            switch source {
            // In no order: what is read in order passes memory by.
            case .memory: _ = try FioJob.readAnywhere.run(workspace, path, byteCount: byteCount)
            case .pageCache: try file.readThrough(path, byteCount: byteCount, workspace)
            case .l1, .l1Disk, .l2: break
            }
            switch source {
            case .pageCache: break
            // A mount that is new has no pages yet. Memory that was just given back to a hypervisor would be paid for
            // by who takes it next.
            case .l1: try file.readThrough("\(fullL1)/data.mdb", byteCount: Int.max, workspace)
            case .memory, .l1Disk, .l2: try Host.dropCaches()
            }
            return try body(file, path, byteCount)
        }
    }
}

extension FioJob {
    /// Brings a file into the page cache.
    fileprivate static let readAll = FioJob(
        name: "all", pattern: "read", blockBytes: 1 << 20, reads: .max, isSequential: true)

    /// Reads each chunk once.
    fileprivate static let readAnywhere = FioJob(
        name: "anywhere", pattern: "randread", blockBytes: ChunkSample.chunkBytes, reads: .max, isSequential: false)
}

/// Reads of a mounted image by fio, beside the same file on the local disk.
func runDevice(_ context: Context) throws -> CaseResult {
    var result = CaseResult()
    if let obstacle = Host.mountObstacle {
        result.skipped.append(obstacle)
        return result
    }
    guard installed("fio") != nil else {
        result.skipped.append("there is no fio: Scripts/bootstrap bench")
        return result
    }
    let fixture = try DeviceFixture(context)
    defer { fixture.stop() }
    if fixture.local == nil { result.skipped.append("EROFS on the local disk: there is no mkfs.erofs") }
    let reads = try DeviceReads(fixture)
    try reads.measureLocal()
    try reads.measureMounted()
    let sample = try context.sample()
    let bare = BareChunks(sample)
    let opening = try (0..<sample.count).map { number in try seconds { try bare.open(number) }.0 * 1e6 }.median
    try reads.measureTouches(bareMicroseconds: opening)
    result.rows = reads.rows
    result.figures = [
        .distribution(
            name: "device", title: "4 KiB in a chunk not touched before, through EROFS", unit: "microseconds",
            series: reads.touches.map { Series($0.name, cumulative: $0.microseconds) })
    ]
    result.method =
        "A file of \((Double(fixture.byteCount) / 1e6).short) MB (the image's layers) in an image with nothing else, "
        + "mounted by `layercache mount`; fio with pread(2), one read at a time; the same file on ext4 and in an EROFS "
        + "file on ext4. From page cache: the mount's own. From memory: the mount's pages are dropped, the worker's "
        + "decoded chunks are not; over 32 MiB of the file. From L1: a new worker over a full L1, whose own file is in "
        + "the page cache, as the bare calls have their chunks; from L1's disk: it is not. From L2: a new worker with "
        + "an empty L1. First touches: one 4 KiB read in each chunk in random order."
    return result
}
