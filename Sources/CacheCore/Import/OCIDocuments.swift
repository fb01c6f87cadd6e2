// The parts of the OCI image specification 1.1 (and of docker's manifest schema 2, which it grew from) that an import or export touches.

enum OCIMediaType {
    static let index = "application/vnd.oci.image.index.v1+json"
    static let manifest = "application/vnd.oci.image.manifest.v1+json"
    static let configuration = "application/vnd.oci.image.config.v1+json"
    static let layer = "application/vnd.oci.image.layer.v1.tar"
    static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
    static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
    static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"
    static let dockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar"

    /// Compression is told from the bytes; what matters is that a layer is a tar, and nobody encrypted it.
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
}

struct OCIPlatform: Codable, Equatable {
    var architecture: String
    var os: String

    /// What this machine runs.
    static var host: OCIPlatform {
        #if arch(arm64)
            OCIPlatform(architecture: "arm64", os: "linux")
        #else
            OCIPlatform(architecture: "amd64", os: "linux")
        #endif
    }
}

struct OCIDescriptor: Codable {
    var mediaType: String?
    var digest: String
    var size: Int
    var platform: OCIPlatform?
    var annotations: [String: String]?

    /// The digest as a value.
    /// - Throws: ``CacheError`` for an algorithm other than `sha256`, or what is no digest, so that it never becomes part of a path.
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

struct OCIIndex: Decodable {
    var manifests: [OCIDescriptor]
}

struct OCIManifest: Codable {
    var schemaVersion: Int
    var mediaType: String?
    var config: OCIDescriptor
    var layers: [OCIDescriptor]
}

/// Of the configuration only what says which layers it is for; its bytes travel as they are.
struct OCIConfiguration: Codable {
    struct RootFS: Codable {
        var type: String?
        /// Absent or null where an image has no layers.
        var diffIDs: [String]?

        enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }
    }

    struct Empty: Codable {}

    var architecture: String?
    var os: String?
    var config: Empty?
    var rootfs: RootFS

    /// The digests of the uncompressed layers, lowest first.
    func layerDigests(in name: String) throws -> [SHA256Digest] {
        try (rootfs.diffIDs ?? []).map { text in
            guard text.hasPrefix("sha256:"), let digest = SHA256Digest(hex: text.dropFirst(7)) else {
                throw CacheError(.invalidInput, "\(name) lists '\(text)' as a layer, which is not a sha256 digest")
            }
            return digest
        }
    }
}
