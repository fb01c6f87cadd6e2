internal import CacheBase
internal import CacheCrypto
internal import CacheFiles

/// Where the files of an OCI layout are put: a directory, or a tar.
protocol LayoutSink: AnyObject {
    /// Writes a blob; returns its size. It must be read to its end, which throws if it is not what `digest` says.
    func putBlob(_ source: any ByteSource, digest: SHA256Digest) throws -> Int
    /// Writes a small blob under the digest of its bytes.
    func putBlob(_ bytes: [UInt8], digest: SHA256Digest) throws
    /// Writes `oci-layout` and `index.json` last, and makes all of it visible.
    func finish(manifest: OCIDescriptor) throws
}

/// Writes an image as an OCI layout, with uncompressed layers: then a layer's blob digest is its diffID.
final class OCIImageWriter: ImageWriter {
    let takesFile = false
    private let sink: any LayoutSink
    private let tag: String?
    private let limits: ImportLimits
    private var sizes: [SHA256Digest: Int] = [:]

    init(_ sink: any LayoutSink, tag: String?, limits: ImportLimits) {
        self.sink = sink
        self.tag = tag
        self.limits = limits
    }

    func writeLayer(_ source: any ByteSource, index: Int, diffID: SHA256Digest) throws {
        if sizes[diffID] == nil {
            sizes[diffID] = try sink.putBlob(source, digest: diffID)
        } else {
            try source.drain { _ in }
        }
    }

    func finish(configuration: [UInt8]?, layers: [SHA256Digest]) throws -> [String] {
        let configuration = try configuration ?? JSONDocument.encode(OCIMinimalConfiguration(layers: layers))
        let name = "the image's configuration"
        let listed = try JSONDocument.decode(
            OCIConfiguration.self, from: configuration, name: name, limits: limits.json)
        guard try listed.layerDigests(in: name) == layers else {
            throw CacheError(.corrupt, "\(name) lists other layers than the image has")
        }
        let manifest = OCIManifest(
            schemaVersion: 2, mediaType: OCIMediaType.manifest,
            config: try put(configuration, mediaType: OCIMediaType.configuration),
            layers: layers.map { diffID in
                OCIDescriptor(mediaType: OCIMediaType.layer, digest: "sha256:\(diffID)", size: sizes[diffID] ?? 0)
            })
        var descriptor = try put(JSONDocument.encode(manifest), mediaType: OCIMediaType.manifest)
        if listed.platform.isComplete { descriptor.platform = listed.platform }
        if let tag { descriptor.annotations = [OCIAnnotation.referenceName: tag] }
        try sink.finish(manifest: descriptor)
        return []
    }

    private func put(_ bytes: [UInt8], mediaType: String) throws -> OCIDescriptor {
        let digest = bytes.withUnsafeBytes { SHA256Digest(hashing: $0) }
        try sink.putBlob(bytes, digest: digest)
        return OCIDescriptor(mediaType: mediaType, digest: "sha256:\(digest)", size: bytes.count)
    }
}
