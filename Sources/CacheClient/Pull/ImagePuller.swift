public import CacheCore
internal import NIOCore
internal import NIOPosix

/// Brings a whole image out of the tiers: to an OCI layout, an archive, a tar, a directory or a file.
public struct ImagePuller: Sendable {
    private let image: CachedImage
    private let limits: ImportLimits

    /// - Parameters:
    ///   - image: is read through all tiers of the cache that opened it.
    ///   - limits: beyond which it is not unpacked.
    public init(_ image: CachedImage, limits: ImportLimits = ImportLimits()) {
        self.image = image
        self.limits = limits
    }

    /// Writes the image to `destination`.
    ///
    /// Every chunk is checked as it comes; a tar's or OCI layer's bytes are checked against its diffID besides (files
    /// of a directory are no tar, and come straight from the chunks that the manifests name). Nothing half-written is
    /// left under the destination's name. Uses all cores; memory stays below 300 MiB whatever the size.
    /// - Throws: ``CacheError``; `.invalidInput` if this kind of image cannot be written so.
    /// - Returns: what could not be written as it was, a line each, such as device nodes without the privilege to make
    ///   them.
    @discardableResult
    public func pull(to destination: DestinationReference, progress: PullProgress = PullProgress()) async throws
        -> [String]
    {
        let destination = try destination.followingLinks()
        if case .file(let path) = destination, image.layers.count == 1, let layer = image.layers.first,
            layer.kind == .file, FileLayerWriter.canWrite(path)
        {
            try await FileLayerWriter(layer: layer, path: path, progress: progress).write()
            return []
        }
        if case .directory(let path) = destination {
            return try await DirectoryPuller(image: image, path: path, progress: progress).pull()
        }
        // The destination's files are written on one thread of its own, which waits for the layers' bytes.
        let thread = NIOThreadPool(numberOfThreads: 1)
        thread.start()
        do {
            let readers = LayerReaders()
            let notes = try await withTaskCancellationHandler {
                try await thread.runCancellable { [image, limits] in
                    try Self.write(image, to: destination, limits: limits, progress: progress, readers: readers)
                }
            } onCancel: {
                readers.cancel()
            }
            try await thread.shutdownGracefully()
            return notes
        } catch {
            try await thread.shutdownGracefully()
            throw error
        }
    }

    private static func write(
        _ image: CachedImage, to reference: DestinationReference, limits: ImportLimits, progress: PullProgress,
        readers: LayerReaders
    ) throws -> [String] {
        let destination = try ImageDestination.open(reference, limits: limits)
        let line = OpeningLine(image.origin.reader)
        let opened = image.layers.map { layer in
            var layer = layer
            layer.line = line
            return layer
        }
        var layers = LayersAhead(opened, readers)
        for (index, layer) in opened.enumerated() {
            try destination.writeLayer(
                index: index, isFile: layer.kind == .file, diffID: layer.diffID,
                source: ProgressSource(try layers.next(), progress), hash: OpeningHash(line))
        }
        return try destination.finish(configuration: image.configuration)
    }
}

/// Counts what passes.
private final class ProgressSource: ByteSource {
    private let source: any ByteSource
    private let progress: PullProgress

    init(_ source: any ByteSource, _ progress: PullProgress) {
        self.source = source
        self.progress = progress
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        progress.add(count)
        return count
    }

    func drain(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        try source.drain { bytes in
            try body(bytes)
            progress.add(bytes.count)
        }
    }
}
