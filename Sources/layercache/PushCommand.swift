import ArgumentParser
import CacheClient
import CacheCore

struct PushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Bring an image into L3: only what L3 does not have is stored.")

    @Argument(
        help: """
            oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF], each with @sha256:DIGEST if need be, \
            tar:FILE, zip:FILE, dir:DIR or file:FILE
            """)
    var source: String
    @Argument(help: "TENANT/NAME:TAG")
    var ref: String
    @Option(
        help: ArgumentHelp(
            "fast-open: zstd, opened a fifth faster than level 1; none; or a level of zstd from 1 to 19 (fast-open).",
            valueName: "how"))
    var compression: String?
    @Flag(help: "Convert known layers too, read every chunk that L3 has, and replace damaged ones.")
    var repair = false
    @Flag(help: "Bring the image's chunks to L2 as well, and say how many are there then.")
    var warm = false
    @OptionGroup var limits: LimitOptions
    @OptionGroup var options: CommonOptions

    func run() async throws {
        let settings = try Settings(options)
        let reference = try ImageReference(parsing: ref)
        let keyring = try settings.keyring()
        if warm, settings.l2Addresses().isEmpty {
            throw ValidationError("Missing --l2: which daemons are to be warmed?")
        }
        var pushOptions = PushOptions()
        pushOptions.compression = try parse(compression: settings.value("compression", compression) ?? "fast-open")
        pushOptions.repair = repair
        pushOptions.limits = try limits.resolve(settings)
        let pusher = ImagePusher(
            store: try settings.objectStore(creating: true), tenant: try keyring.keys(for: reference.tenant),
            deployment: try keyring.requireDeploymentKey(), options: pushOptions)
        let progress = PushProgress()
        let start = ContinuousClock.now
        let source = try ImageSource.open(
            try SourceReference.parse(source), limits: pushOptions.limits,
            note: { [quiet = options.quiet] in if !quiet { Terminal.complain("layercache: \($0)") } })
        let report = try await ProgressLine.during(
            options,
            { seconds in
                let rate = Int(Double(progress.bytesRead) / seconds).inBytes
                return "read \(progress.bytesRead.inBytes) (\(rate)/s), stored \(progress.bytesUploaded.inBytes)"
            }
        ) {
            try await pusher.push(source, as: reference, progress: progress)
        }
        let warmth = warm ? try await self.warm(report, keyring, settings) : nil
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        try options.report(PushJSON(report, warmth, seconds: seconds)) {
            try Terminal.say("\(report.reference) is \(report.manifest)")
            try Terminal.say(
                "\(report.layers.count) layers, \(report.logicalBytes.inBytes) in \(String(seconds.toMilliseconds)) s; "
                    + "\(report.newChunks) of \(report.chunks) chunks were new: "
                    + "\(report.newBytes.inBytes), stored as \(report.uploadedBytes.inBytes)")
            if let warmth {
                try Terminal.say(
                    "L2 has \(warmth.arrived.chunks) of \(warmth.image.chunks) chunks: "
                        + "\(warmth.arrived.bytes.inBytes) of \(warmth.image.bytes.inBytes), "
                        + "\(warmth.stored.chunks) of them brought now")
            }
        }
        if !options.quiet { for problem in warmth?.problems ?? [] { Terminal.complain("layercache: L2: \(problem)") } }
        if !options.quiet { for note in report.notes { Terminal.complain("layercache: \(note)") } }
    }

    /// Opens the image as a worker does, which brings its manifests to L2, and then brings all of its chunks. What goes
    /// wrong is reported: the image is in L3 whatever L2 does.
    private func warm(
        _ report: PushReport, _ keyring: Keyring, _ settings: Settings
    ) async throws -> ImageWarmer.Report {
        var configuration = try settings.configuration()
        configuration.l1Directory = nil
        configuration.memoryBytes = 0
        do {
            let cache = try await LayerCache.open(configuration, logger: .commandLine)
            let result: Result<ImageWarmer.Report, any Error>
            do {
                let image = try await cache.image(report.reference, keyring: keyring)
                result = .success(try await ImageWarmer(image).warm())
            } catch {
                result = .failure(error)
            }
            try await cache.close()
            return try result.get()
        } catch let error as CacheError {
            var warmth = ImageWarmer.Report()
            warmth.problems = [error.description]
            return warmth
        }
    }

    private func parse(compression: String) throws -> ChunkCompression {
        if compression == "none" { return .none }
        if compression == "fast-open" { return .fastOpen }
        guard let level = Int(compression), (1...19).contains(level) else {
            throw ValidationError("--compression '\(compression)' is not fast-open, none or a level from 1 to 19.")
        }
        return .zstd(level: level)
    }
}

/// What `push --json` prints (docs/OPERATIONS.md, "JSON").
private struct PushJSON: Encodable {
    struct Chunks: Encodable {
        let total: Int
        let zero: Int
        let new: Int
    }
    struct Bytes: Encodable {
        let logical: Int
        let new: Int
        let uploaded: Int
    }
    /// Absent for what cannot be mounted.
    struct Index: Encodable {
        let chunks: Int
        let device: UInt64
    }
    struct Warmth: Encodable {
        let chunks: Int
        let bytes: Int
        let arrived: TierCount
        let stored: TierCount
        let problems: [String]
    }
    let ref: String
    let manifest: String
    let chunks: Chunks
    let bytes: Bytes
    let index: Index?
    /// Absent without `--warm`.
    let warm: Warmth?
    let seconds: Double

    init(_ report: PushReport, _ warmth: ImageWarmer.Report?, seconds: Double) {
        ref = "\(report.reference)"
        manifest = "\(report.manifest)"
        chunks = Chunks(total: report.chunks, zero: report.zeroChunks, new: report.newChunks)
        bytes = Bytes(logical: report.logicalBytes, new: report.newBytes, uploaded: report.uploadedBytes)
        warm = warmth.map { warmth in
            Warmth(
                chunks: warmth.image.chunks, bytes: warmth.image.bytes, arrived: warmth.arrived,
                stored: warmth.stored, problems: warmth.problems)
        }
        index = report.index.map { Index(chunks: $0.counts.chunks, device: $0.deviceBytes) }
        self.seconds = seconds.toMilliseconds
    }
}
