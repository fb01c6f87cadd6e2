internal import CacheBase
internal import CacheCrypto

// The parts of the OCI image specification 1.1 (and of docker's manifest schema 2, which it grew from) that an import
// or export touches.
//
// Most of these documents are written by Go, which writes what is empty as `null`, or not at all, and reads all three
// alike: so does this.

enum OCIMediaType {
    static let index = "application/vnd.oci.image.index.v1+json"
    static let manifest = "application/vnd.oci.image.manifest.v1+json"
    static let configuration = "application/vnd.oci.image.config.v1+json"
    /// The media type of the empty configuration of an artifact that is no image.
    static let empty = "application/vnd.oci.empty.v1+json"
    static let layer = "application/vnd.oci.image.layer.v1.tar"
    static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    static let dockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar"

    /// Compression is told from the bytes; what matters is that a layer is a tar and is not encrypted.
    static func isLayer(_ type: String) -> Bool {
        let tars = [
            layer, "application/vnd.oci.image.layer.nondistributable.v1.tar", dockerLayer, dockerForeignLayer,
        ]
        return tars.contains { tar in
            type == tar || ["+gzip", ".gzip", "+zstd", ".zstd"].contains { type == tar + $0 }
        }
    }
}

enum OCIAnnotation {
    static let referenceName = "org.opencontainers.image.ref.name"
    /// The whole name, where docker and containerd write only the tag as the reference's name.
    static let containerdName = "io.containerd.image.name"
    /// Marks what BuildKit adds beside an image, such as how it was built.
    static let dockerReferenceType = "vnd.docker.reference.type"
}

struct OCIDescriptor: Codable {
    var mediaType: String?
    var digest: String
    var size: Int?
    var platform: OCIPlatform?
    var annotations: [String: String?]?
    var artifactType: String?

    /// The value of an annotation; `nil` if it says nothing.
    func annotation(_ key: String) -> String? { annotations?[key].flatMap { $0 }.nonEmpty }

    /// Whether it describes no image: a signature or attestation of one, or another artifact that a registry keeps.
    var isNoImage: Bool {
        platform?.os == "unknown" || platform?.architecture == "unknown" || artifactType.nonEmpty != nil
            || annotation(OCIAnnotation.dockerReferenceType) != nil
            || mediaType.nonEmpty.map { OCIDocument.kind($0) == nil } ?? false
    }

    /// The digest as a value.
    /// - Throws: ``CacheError`` for an algorithm other than `sha256`, or what is no digest, so that it never becomes
    ///   part of a path.
    func sha256(in name: String) throws -> SHA256Digest {
        guard digest.hasPrefix("sha256:"), let value = SHA256Digest(hex: digest.dropFirst(7)) else {
            throw CacheError(.invalidInput, "\(name) names '\(digest)', which is not a sha256 digest")
        }
        return value
    }
}

struct OCILayoutMarker: Codable {
    var imageLayoutVersion: String
}

/// An index, or a manifest: which of them it is, its descriptor says, or itself, or else what is in it.
struct OCIDocument: Decodable {
    enum Kind: String {
        case index
        case manifest
    }

    var mediaType: String?
    var artifactType: String?
    var manifests: [OCIDescriptor]?
    var config: OCIDescriptor?
    var layers: [OCIDescriptor]?

    /// - Throws: ``CacheError``: `.unsupported` for what is neither, `.invalidInput` for what two readers could take
    ///   for both.
    func kind(_ descriptor: OCIDescriptor, name: String) throws -> Kind {
        let types = [descriptor.mediaType.nonEmpty, mediaType.nonEmpty].compactMap { $0 }
        let kinds = Set(types.compactMap(Self.kind))
        let isBoth = manifests != nil && (config != nil || layers != nil)
        guard kinds.count <= 1, !isBoth else {
            throw CacheError(.invalidInput, "\(name) says that it is an index and a manifest: it is one or the other")
        }
        if let kind = kinds.first { return kind }
        if types.isEmpty, manifests != nil { return .index }
        if types.isEmpty, config != nil { return .manifest }
        throw CacheError(
            .unsupported,
            "\(name) has the media type '\(types.first ?? "none")', which is no image manifest of OCI or of Docker's "
                + "schema 2: convert it first"
        )
    }

    static func kind(_ type: String) -> Kind? {
        switch type {
        case OCIMediaType.index, OCIMediaType.dockerIndex: .index
        case OCIMediaType.manifest, OCIMediaType.dockerManifest: .manifest
        default: nil
        }
    }
}

/// A manifest as it is written.
struct OCIManifest: Encodable {
    var schemaVersion: Int
    var mediaType: String?
    var config: OCIDescriptor
    var layers: [OCIDescriptor]
}

/// Of the configuration only what says which layers it is for, and what runs it; its bytes travel as they are.
struct OCIConfiguration: Decodable {
    private struct RootFS: Decodable {
        var diffIDs: [String]?

        enum CodingKeys: String, CodingKey {
            case diffIDs = "diff_ids"
        }
    }

    private var architecture: String?
    private var os: String?
    private var variant: String?
    private var rootfs: RootFS?

    var platform: OCIPlatform { OCIPlatform(architecture: architecture, os: os, variant: variant) }

    /// The digests of the uncompressed layers, lowest first.
    func layerDigests(in name: String) throws -> [SHA256Digest] {
        try (rootfs?.diffIDs ?? []).map { text in
            guard text.hasPrefix("sha256:"), let digest = SHA256Digest(hex: text.dropFirst(7)) else {
                throw CacheError(.invalidInput, "\(name) lists '\(text)' as a layer, which is not a sha256 digest")
            }
            return digest
        }
    }
}

/// What the specification demands of a configuration, and nothing that would differ from one run to the next.
struct OCIMinimalConfiguration: Encodable {
    struct RootFS: Encodable {
        let type = "layers"
        let diffIDs: [String]

        enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }
    }

    struct Empty: Encodable {}

    let architecture = OCIPlatform.host.architecture
    let os = OCIPlatform.host.os
    let config = Empty()
    let rootfs: RootFS

    init(layers: [SHA256Digest]) {
        rootfs = RootFS(diffIDs: layers.map { "sha256:\($0)" })
    }
}

extension String? {
    /// `nil` for an empty text as well, which means the same in these documents.
    var nonEmpty: String? { self?.isEmpty == true ? nil : self }
}
