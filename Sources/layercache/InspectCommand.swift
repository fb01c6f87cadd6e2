import ArgumentParser
import CacheClient
import CacheCore
import NIOCore

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show an image's layers, and how much each shared with what L3 held when it was pushed.",
        discussion: "Layers that share little are best put last: what stands below them can then be shared.")

    @Argument(help: "TENANT/NAME:TAG")
    var ref: String
    @OptionGroup var options: CommonOptions

    private struct Row: Encodable {
        let name: String
        let diffID: String
        let size: Int
        let stored: Int
        let chunks: Int
        let zeroChunks: Int
        let shared: Int
        let sharedShare: Double
    }

    /// The image as a device; absent for what cannot be mounted, or was pushed by a version that made none.
    private struct Device: Encodable {
        let manifest: String
        let bytes: UInt64
        let metadata: UInt64
        let stored: Int
        let chunks: Int
        let extents: Int

        init(_ id: ManifestID, _ index: ImageIndex) {
            manifest = "\(id)"
            bytes = index.deviceBytes
            metadata = index.metadataBytes
            stored = Set(index.metadata).reduce(0) { $0 + Int($1.sealedLength) }
            chunks = index.metadata.count
            extents = index.extents.count
        }
    }

    private struct Report: Encodable {
        let ref: String
        let manifest: String
        let configDigest: String?
        let layers: [Row]
        let index: Device?
    }

    func run() async throws {
        let settings = try Settings(options)
        let reference = try ImageReference(parsing: ref)
        let keyring = try settings.keyring()
        let cache = try await settings.openBareL3()
        let image: CachedImage
        let index: ImageIndex?
        do {
            image = try await cache.image(reference, keyring: keyring)
            index = try await image.index()
        } catch {
            try await cache.close()
            throw error
        }
        try await cache.close()
        let rows = zip(image.layers, image.manifest.layers).map { layer, summary in
            let refs = layer.manifest.allRefs
            let stored = layer.manifest.storedBytes
            let shared = Int(summary.sharedBytes)
            return Row(
                name: summary.name, diffID: "sha256:\(layer.diffID)", size: layer.byteCount, stored: stored,
                chunks: refs.count, zeroChunks: refs.count(where: \.isZero), shared: shared,
                sharedShare: stored == 0 ? 1 : (1000 * Double(shared) / Double(stored)).rounded() / 1000)
        }
        let digest = image.configuration.map { config in
            "sha256:" + config.withUnsafeReadableBytes { SHA256Digest(hashing: $0) }.hex
        }
        let device = image.manifest.index.flatMap { id in index.map { Device(id, $0) } }
        let report = Report(
            ref: "\(reference)", manifest: "\(image.id)", configDigest: digest, layers: rows, index: device)
        try options.report(report) {
            try Terminal.say("\(report.ref) is \(report.manifest)")
            try Terminal.printTable(
                ["layer", "diffID", "size", "stored", "chunks", "shared"],
                rows.enumerated().map { index, row in
                    [
                        "\(index + 1) \(row.name.prefix(40))", String(row.diffID.prefix(19)), row.size.inBytes,
                        row.stored.inBytes,
                        "\(row.chunks)", "\(Int((row.sharedShare * 100).rounded())) %",
                    ]
                })
            if let device {
                try Terminal.say(
                    "a device of \(Int(clamping: device.bytes).inBytes), of which "
                        + "\(Int(clamping: device.metadata).inBytes) are metadata in \(device.chunks) chunks "
                        + "(\(device.stored.inBytes) stored)")
            }
        }
    }
}
