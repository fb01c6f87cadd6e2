import Foundation

/// The image that the cases work on, as plain tars: the same bytes for us and for every yardstick.
final class ImageFixture {
    /// A directory with nothing but the layers' tars.
    let tarDirectory: String
    let tars: [String]
    /// An OCI layout of the same layers, not compressed: `DIR:TAG`.
    let layout: String
    let byteCount: Double

    private struct Descriptor: Codable {
        var mediaType: String
        var digest: String
        var size: Int
        var annotations: [String: String]?
    }
    private struct Index: Codable {
        var schemaVersion = 2
        var manifests: [Descriptor]
    }
    private struct Manifest: Codable {
        var schemaVersion = 2
        var mediaType: String?
        var config: Descriptor
        var layers: [Descriptor]
    }
    private struct Configuration: Decodable {
        struct Root: Decodable { let diff_ids: [String] }
        let rootfs: Root
    }

    init(source: String, workspace: Workspace) throws {
        let (directory, tag) = try Self.split(source)
        let index: Index = try Self.read("\(directory)/index.json")
        guard
            let named = index.manifests.first(where: { $0.annotations?["org.opencontainers.image.ref.name"] == tag })
        else { throw BenchError("\(directory) has no image called \(tag)") }
        var manifest: Manifest = try Self.read(Self.blob(directory, named.digest))
        let configuration: Configuration = try Self.read(Self.blob(directory, manifest.config.digest))
        guard configuration.rootfs.diff_ids.count == manifest.layers.count else {
            throw BenchError("\(source): its configuration names other layers than its manifest")
        }
        tarDirectory = try workspace.freshDirectory("tars")
        let plain = try workspace.freshDirectory("image")
        try FileManager.default.createDirectory(atPath: "\(plain)/blobs/sha256", withIntermediateDirectories: true)
        var paths: [String] = []
        for (number, diffID) in configuration.rootfs.diff_ids.enumerated() {
            let tar = "\(tarDirectory)/layer-\(number + 1).tar"
            let compressed = Self.blob(directory, manifest.layers[number].digest)
            try workspace.run(
                ["/bin/sh", "-c", "\(try Self.reader(of: compressed)) < \"$0\" > \"$1\"", compressed, tar])
            guard link(tar, Self.blob(plain, diffID)) == 0 || errno == EEXIST else {
                throw BenchError("cannot link \(tar)")
            }
            manifest.layers[number] = Descriptor(
                mediaType: "application/vnd.oci.image.layer.v1.tar", digest: diffID, size: try Self.size(tar))
            paths.append(tar)
        }
        tars = paths
        byteCount = Double(manifest.layers.reduce(0) { $0 + $1.size })
        try FileManager.default.copyItem(
            atPath: Self.blob(directory, manifest.config.digest), toPath: Self.blob(plain, manifest.config.digest))
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let written = try encoder.encode(manifest)
        let digest = "sha256:" + written.withUnsafeBytes { BareCodec.sha256($0) }
        try written.write(to: URL(fileURLWithPath: Self.blob(plain, digest)))
        let entry = Descriptor(
            mediaType: "application/vnd.oci.image.manifest.v1+json", digest: digest, size: written.count,
            annotations: ["org.opencontainers.image.ref.name": "1"])
        try encoder.encode(Index(manifests: [entry])).write(to: URL(fileURLWithPath: "\(plain)/index.json"))
        try Data(#"{"imageLayoutVersion":"1.0.0"}"#.utf8).write(to: URL(fileURLWithPath: "\(plain)/oci-layout"))
        layout = "\(plain):1"
    }

    /// At most `limit` chunks of 512 KiB, spread evenly over all layers; chunks of nothing but zeros are left out.
    func chunks(limit: Int) throws -> ChunkSample {
        let size = ChunkSample.chunkBytes
        let perTar = try tars.map { try Self.size($0) / size }
        let step = max(1, perTar.reduce(0, +) / limit)
        var pieces: [Data] = []
        for (tar, count) in zip(tars, perTar) {
            let mapped = try Data(contentsOf: URL(fileURLWithPath: tar), options: .alwaysMapped)
            for number in stride(from: 0, to: count, by: step) {
                let piece = mapped[number * size..<(number + 1) * size]
                if piece.contains(where: { $0 != 0 }) { pieces.append(piece) }
            }
        }
        guard !pieces.isEmpty else { throw BenchError("the image is too small to take chunks of 512 KiB from") }
        return ChunkSample(Array(pieces.prefix(limit)))
    }

    private static func split(_ source: String) throws -> (String, String) {
        guard let colon = source.lastIndex(of: ":") else { throw BenchError("--image '\(source)' is not DIR:TAG") }
        return (String(source[..<colon]), String(source[source.index(after: colon)...]))
    }

    private static func blob(_ directory: String, _ digest: String) -> String {
        "\(directory)/blobs/" + digest.replacingOccurrences(of: ":", with: "/")
    }

    private static func read<Value: Decodable>(_ path: String) throws -> Value {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw BenchError("cannot read \(path): run Scripts/make-image, or give --image DIR:TAG")
        }
        return try JSONDecoder().decode(Value.self, from: data)
    }

    private static func size(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return (attributes[.size] as? NSNumber)?.intValue ?? 0
    }

    private static func reader(of path: String) throws -> String {
        guard let file = FileHandle(forReadingAtPath: path) else { throw BenchError("cannot read \(path)") }
        let magic = try file.read(upToCount: 4) ?? Data()
        return magic.starts(with: [0x1f, 0x8b])
            ? "gzip -dc" : magic.starts(with: [0x28, 0xb5, 0x2f, 0xfd]) ? "zstd -dc" : "cat"
    }
}

/// Plaintext chunks in memory, side by side.
final class ChunkSample {
    static let chunkBytes = 512 * 1024
    let count: Int
    private let memory: UnsafeMutableRawBufferPointer

    fileprivate init(_ pieces: [Data]) {
        count = pieces.count
        memory = .allocate(byteCount: pieces.count * Self.chunkBytes, alignment: 4096)
        for (number, piece) in pieces.enumerated() {
            piece.copyBytes(
                to: UnsafeMutableRawBufferPointer(
                    rebasing: memory[number * Self.chunkBytes..<(number + 1) * Self.chunkBytes]))
        }
    }

    deinit { memory.deallocate() }

    subscript(number: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: memory[number * Self.chunkBytes..<(number + 1) * Self.chunkBytes])
    }

    var byteCount: Double { Double(memory.count) }
}
