internal import CacheBase
internal import CacheFiles
public import CacheManifests
public import NIOCore

/// What a push reads: layers, and what an image's configuration says about running it.
public struct ImageSource: Sendable {
    /// The OCI or docker configuration, byte for byte, so that its digest survives; `nil` for what is no image (tar,
    /// ZIP, directory, file).
    public let configuration: ByteBuffer?
    /// Lowest first.
    public let layers: [LayerSource]

    /// What kind of source it was.
    public let origin: ImageManifest.Source

    package init(origin: ImageManifest.Source, configuration: ByteBuffer?, layers: [LayerSource]) {
        self.origin = origin
        self.configuration = configuration
        self.layers = layers
    }

    /// Opens a source and reads all of its documents, but no layer yet. Blocks.
    ///
    /// - Parameters:
    ///   - reference: what to read.
    ///   - limits: beyond which input is refused.
    ///   - note: told about what cannot be part of an image and is left out, such as a socket in a directory; called on
    ///     the thread that reads.
    /// - Throws: ``CacheError``: `.missing` where a file or tag does not exist, `.corrupt` where a document is not what
    ///   its digest says, `.invalidInput`, `.limitExceeded` or `.unsupported` where one cannot be used.
    public static func open(
        _ reference: SourceReference, limits: ImportLimits = ImportLimits(),
        note: @escaping @Sendable (String) -> Void = { _ in }
    ) throws -> ImageSource {
        switch reference {
        case .ociLayout(let directory, let tag, let digest):
            return try OCIImageReader(files: .directory(directory), limits: limits).image(tag: tag, digest: digest)
        case .ociArchive(let file, let tag, let digest):
            let files = try LayoutFiles.archive(file, limits: limits)
            return try OCIImageReader(files: files, limits: limits).image(tag: tag, digest: digest)
        case .dockerArchive(let file, let reference, let digest):
            let files = try LayoutFiles.archive(file, limits: limits)
            return try DockerArchiveReader(files: files, limits: limits).image(reference, digest: digest)
        case .tar(let path):
            return single(.tar, try LayerSource.tar(path, limits: limits))
        case .zip(let path):
            return single(.zip, try LayerSource.zip(path, limits: limits))
        case .directory(let path):
            return single(.directory, try LayerSource.directory(path, limits: limits, note: note))
        case .file(let path):
            return single(.file, try LayerSource.file(path, limits: limits))
        }
    }

    /// More layers than an image's manifest can name are refused before any of them is read.
    static func check(layerCount: Int, of name: String) throws {
        guard layerCount <= ImageManifest.maximumLayers else {
            throw CacheError(
                .limitExceeded,
                "\(name) has \(layerCount) layers; the format holds \(ImageManifest.maximumLayers): squash some of them"
            )
        }
    }

    private static func single(_ origin: ImageManifest.Source, _ layer: LayerSource) -> ImageSource {
        ImageSource(origin: origin, configuration: nil, layers: [layer])
    }
}

extension LayerSource {
    /// A tar, plain or compressed; from a pipe it can be opened once.
    static func tar(_ path: String, limits: ImportLimits) throws -> LayerSource {
        let (size, open) = try bytes(of: path)
        return LayerSource(name: path, compressedSize: size) {
            try CompressionFormat.decompress(open(), name: path, compressedSize: size, limit: limits.expansionLimit)
        }
    }

    static func file(_ path: String, limits: ImportLimits) throws -> LayerSource {
        let (size, open) = try bytes(of: path)
        if let size, size > limits.layerBytes {
            throw Limit.layerBytes.exceeded(
                "\(path) has \(size) bytes, more than \(Limit.layerBytes.text(limits.layerBytes))")
        }
        return LayerSource(name: path, isFile: true, compressedSize: size) {
            LimitedSource(try open(), name: path, limit: limits.expansionLimit)
        }
    }

    /// How to read `path`: a file or block device at any place, anything else from front to back.
    private static func bytes(of path: String) throws -> (size: Int?, open: @Sendable () throws -> any ByteSource) {
        // Not to wait for the writer of a pipe here: reading waits for it.
        let file = try OpenFile.open(path, .nonBlocking)
        switch try file.kind() {
        case .bytes:
            let range = try file.wholeRange()
            let status = try file.status()
            // Files that the kernel makes up, as in /proc, say that they are empty.
            if range.size == 0 { return (nil, { SteadySource(PipeSource(file), file, since: status, sizeOnly: true) }) }
            if status.kind != .regular { return (range.size, { FileRangeSource(range) }) }
            return (range.size, { SteadySource(FileRangeSource(range), file, since: status, sizeOnly: false) })
        case .stream: return (nil, { PipeSource(file) })
        case .directory:
            throw CacheError(.invalidInput, "\(path) is a directory: write dir:\(path) to push its files")
        }
    }
}
