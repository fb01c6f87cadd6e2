internal import CacheBase
public import CacheCrypto
public import NIOCore

/// The description of an image: its layers in order, its configuration, and what it was made from.
public struct ImageManifest: Sendable, Equatable {
    /// What an image was pushed from. The raw values are part of the format.
    public enum Source: UInt8, Sendable {
        case oci = 1
        case dockerArchive = 2
        case tar = 3
        case zip = 4
        case directory = 5
        case file = 6

        /// Whether names that begin with `.wh.` stand for what a layer removes. In a directory or a ZIP they are names
        /// like any other; a tar may be a layer that was exported from an image.
        package var hasWhiteouts: Bool { self != .directory && self != .zip }
    }

    /// A layer as the image sees it.
    public struct Layer: Sendable, Equatable {
        public let manifest: ManifestID
        /// SHA-256 of the uncompressed tar, or of the file.
        public let diffID: SHA256Digest
        /// Length of the uncompressed tar, or of the file.
        public let byteCount: UInt64
        /// Sealed bytes of the layer that L3 held already when it was pushed.
        public let sharedBytes: UInt64
        /// For people: how the layer came to be, or the name of the file.
        public let name: String

        public init(
            manifest: ManifestID, diffID: SHA256Digest, byteCount: UInt64, sharedBytes: UInt64 = 0, name: String
        ) {
            self.manifest = manifest
            self.diffID = diffID
            self.byteCount = byteCount
            self.sharedBytes = sharedBytes
            self.name = name
        }
    }

    public struct Annotation: Sendable, Equatable {
        public let key: String
        public let value: String

        public init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    public let source: Source
    public let generation: Generation
    /// Bottom first.
    public let layers: [Layer]
    /// The exact bytes of the OCI image configuration; empty if the source has none.
    public let configuration: ByteBuffer
    public let annotations: [Annotation]
    /// The description of the image as a device (``ImageIndex``); `nil` for a raw file, for an image that cannot be
    /// one, and for one that was pushed by a program which made none.
    public let index: ManifestID?

    /// The most layers, and the most annotations, of an image.
    public static let maximumLayers = 1024
    public static let maximumAnnotations = 1024
    /// The most bytes of a configuration: 8 MiB.
    public static let maximumConfigurationBytes = 8 << 20
    /// The most bytes of a layer's name and an annotation's key.
    public static let maximumNameBytes = 4096
    /// The most bytes of an annotation's value.
    public static let maximumValueBytes = 64 << 10

    public init(
        source: Source, generation: Generation, layers: [Layer], configuration: ByteBuffer, annotations: [Annotation],
        index: ManifestID? = nil
    ) {
        self.source = source
        self.generation = generation
        self.layers = layers
        self.configuration = configuration
        self.annotations = annotations
        self.index = index
    }

    /// Seals the manifest for a tenant. Each call gives other bytes and another name.
    /// - Throws: `.limitExceeded` beyond the limits above.
    public func seal(with keys: TenantKeys) throws -> (id: ManifestID, sealed: ByteBuffer) {
        try checkLimits()
        var body = ByteBuffer()
        body.writeLittle(source.rawValue)
        body.writeZeros(3)
        body.writeLittle(UInt32(configuration.readableBytes))
        body.writeLittle(UInt32(annotations.count))
        body.writeImmutableBuffer(configuration)
        for layer in layers {
            body.writeDigest(layer.diffID)
            body.writeLittle(layer.byteCount)
            body.writeLittle(layer.sharedBytes)
            body.writeText(layer.name)
        }
        for annotation in annotations {
            body.writeText(annotation.key)
            body.writeText(annotation.value)
        }
        let header = ManifestHeader(
            generation: generation, tenantKeyID: keys.id, contents: .layers(layers.map(\.manifest), index: index))
        return try ManifestEnvelope.seal(header, body: body, keys: keys)
    }

    private func checkLimits() throws {
        func check(_ count: Int, _ maximum: Int, _ what: String) throws {
            guard count <= maximum else {
                throw CacheError(.limitExceeded, "the image's \(what): \(count) is more than the \(maximum) allowed")
            }
        }
        try check(layers.count, Self.maximumLayers, "number of layers")
        try check(annotations.count, Self.maximumAnnotations, "number of annotations")
        try check(configuration.readableBytes, Self.maximumConfigurationBytes, "configuration in bytes")
        for layer in layers { try check(layer.name.utf8.count, Self.maximumNameBytes, "layer name in bytes") }
        for annotation in annotations {
            try check(annotation.key.utf8.count, Self.maximumNameBytes, "annotation key in bytes")
            try check(annotation.value.utf8.count, Self.maximumValueBytes, "annotation value in bytes")
        }
    }

    /// Opens a sealed image manifest.
    ///
    /// - Parameter id: the name under which `sealed` was found.
    /// - Throws: `.key` if the tenant's key is another, `.unsupported` for another version, `.corrupt` for all that is
    ///   not right.
    public static func open(_ sealed: ByteBuffer, expecting id: ManifestID, keys: TenantKeys) throws -> ImageManifest {
        let (header, body) = try ManifestEnvelope.open(sealed, expecting: id, keys: keys)
        let manifest = try body.withUnsafeReadableBytes { bytes in
            var reader = RecordReader(bytes, what: "manifest \(id)")
            guard case .layers(let ids, let index) = header.contents else {
                throw reader.malformed("it is not the manifest of an image")
            }
            guard let source = Source(rawValue: try reader.integer()) else {
                throw reader.malformed("unknown source")
            }
            try reader.zeros(3)
            let configurationBytes = Int(try reader.integer(UInt32.self))
            let annotationCount = Int(try reader.integer(UInt32.self))
            guard ids.count <= maximumLayers, annotationCount <= maximumAnnotations else {
                throw reader.malformed("it has too many layers or annotations")
            }
            let configuration = ByteBuffer(bytes: try reader.take(configurationBytes))
            let layers = try ids.map { id in
                Layer(
                    manifest: id, diffID: try reader.digest(), byteCount: try reader.integer(),
                    sharedBytes: try reader.integer(), name: try reader.text())
            }
            let annotations = try (0..<annotationCount).map { _ in
                Annotation(key: try reader.text(), value: try reader.text())
            }
            try reader.end()
            return ImageManifest(
                source: source, generation: header.generation, layers: layers, configuration: configuration,
                annotations: annotations, index: index)
        }
        try manifest.checkLimits()
        return manifest
    }
}

extension ByteBuffer {
    fileprivate mutating func writeText(_ text: String) {
        writeLittle(UInt32(text.utf8.count))
        writeString(text)
    }
}

extension RecordReader {
    fileprivate mutating func text() throws -> String {
        let count = Int(try integer(UInt32.self))
        return try string(count)
    }
}
