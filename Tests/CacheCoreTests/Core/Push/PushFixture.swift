import CacheCore
import Foundation
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing

/// A store in a directory, keys, and sources in memory.
struct PushFixture {
    let scratch: TemporaryDirectory
    let base: FileObjectStore
    let keyring: Keyring

    init() throws {
        scratch = try TemporaryDirectory()
        base = try FileObjectStore(root: scratch.path + "/l3", create: true)
        for tenant in ["acme", "other"] {
            try Keyring.add(try TenantName(parsing: tenant), toFile: scratch.path + "/keys.json")
        }
        keyring = try Keyring(contentsOf: scratch.path + "/keys.json")
    }

    /// A raw file; `diffID` as an image's configuration would promise it.
    static func file(_ bytes: [UInt8], diffID: SHA256Digest? = nil) -> LayerSource {
        LayerSource(name: "file", isFile: true, diffID: diffID, compressedSize: nil) { PiecewiseSource(bytes) }
    }

    @discardableResult
    func push(
        _ layers: [LayerSource], to store: (any ObjectStore)? = nil, as name: String = "acme/image:1",
        repair: Bool = false
    ) async throws -> PushReport {
        let reference = try ImageReference(parsing: name)
        var options = PushOptions()
        options.repair = repair
        return try await ImagePusher(
            store: store ?? base, tenant: try keyring.keys(for: reference.tenant),
            deployment: try keyring.requireDeploymentKey(), options: options
        ).push(ImageSource(origin: .file, configuration: nil, layers: layers), as: reference)
    }

    /// The manifests of the layers that a reference names.
    func layers(_ name: String = "acme/image:1") async throws -> [LayerManifest] {
        let reference = try ImageReference(parsing: name)
        let keys = try keyring.keys(for: reference.tenant)
        let record = try #require(try await RefStore(base).read(reference))
        let image = try await ImageManifest.load(
            record.manifest, from: base, generation: record.generation, keys: keys)
        var layers: [LayerManifest] = []
        for layer in image.layers {
            layers.append(
                try await LayerManifest.load(layer.manifest, from: base, generation: record.generation, keys: keys))
        }
        return layers
    }

    /// Whether the reference names one layer, a raw file with these bytes, and every chunk of it is right.
    func holds(_ bytes: [UInt8], _ name: String = "acme/image:1") async throws -> Bool {
        var found: [UInt8] = []
        for ref in try #require(try await layers(name).first).data {
            var plain = [UInt8](repeating: 0, count: Int(ref.plainLength))
            if !ref.isZero {
                let key = L3Layout.chunk(ref.id, in: try #require(try await layers(name).first).generation)
                let sealed = try #require(try await base.get(key, limit: ChunkLimits.sealedBytes)).body
                try sealed.withUnsafeReadableBytes { sealed in
                    try plain.withUnsafeMutableBytes { try ChunkOpener().open(ref, sealed: sealed, into: $0) }
                }
            }
            found += plain
        }
        return found == bytes
    }

    /// Files of objects whose name has `part` in it, in order.
    func files(_ part: String) throws -> [String] {
        try FileManager.default.subpathsOfDirectory(atPath: base.root).filter {
            $0.contains(part) && $0.split(separator: "/").last.map { $0.count >= 64 } == true
        }.sorted().map { base.root + "/" + $0 }
    }
}

/// Kinds of damage to a file on disk.
enum Damage: CaseIterable, Sendable {
    case flipped, truncated, emptied, lengthened, removed

    func apply(to path: String) throws {
        let url = URL(fileURLWithPath: path)
        var data = try Data(contentsOf: url)
        switch self {
        case .flipped: data[data.startIndex + data.count / 2] ^= 1
        case .truncated: data = data.dropLast(1)
        case .emptied: data = Data()
        case .lengthened: data.append(7)
        case .removed: return try FileManager.default.removeItem(at: url)
        }
        try data.write(to: url)
    }
}
