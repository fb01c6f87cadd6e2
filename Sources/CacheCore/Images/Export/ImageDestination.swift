internal import CacheBase
public import CacheCrypto
public import CacheFiles
public import NIOCore

/// Where a pull writes the bytes of an image's layers to, one after the other, lowest first, then
/// ``finish(configuration:)``. (The files in them are another matter: ``DirectoryDestination``.)
///
/// Everything here blocks; one thread uses it. Nothing appears under the destination's name before `finish`; a
/// destination that is let go of without it leaves nothing behind.
public final class ImageDestination {
    private let writer: any ImageWriter
    private var layers: [SHA256Digest] = []
    /// Nothing has failed yet, and it is not finished.
    private var isOpen = true

    private init(_ writer: any ImageWriter) { self.writer = writer }

    /// Checks that the destination can be written, and prepares it. Overwrites a file; a directory must be empty,
    /// absent or a layout. What a pull to the same destination left when it was killed is removed.
    /// - Throws: ``CacheError`` `.invalidInput` or `.io` that says what is in the way.
    public static func open(
        _ reference: DestinationReference, limits: ImportLimits = ImportLimits()
    ) throws -> ImageDestination {
        switch reference {
        case .ociLayout(let directory, let tag):
            ImageDestination(OCIImageWriter(try LayoutDirectory(directory, limits: limits), tag: tag, limits: limits))
        case .ociArchive(let file, let tag):
            ImageDestination(OCIImageWriter(try LayoutArchive(file), tag: tag, limits: limits))
        case .tar(let file): ImageDestination(try SingleLayerWriter(file, takesFile: false))
        case .file(let file): ImageDestination(try SingleLayerWriter(file, takesFile: true))
        case .directory(let path):
            throw CacheError(.unsupported, "\(path) is to hold files, not layers: pull the image to it")
        }
    }

    /// Writes the next layer: reads `source` to its end.
    ///
    /// - Parameters:
    ///   - index: its place in the image, counted from 0; must come in order.
    ///   - isFile: a raw file and not a tar; only `file:` takes one, and takes nothing else.
    ///   - diffID: SHA-256 that the bytes must have.
    ///   - source: uncompressed bytes.
    /// - Throws: ``CacheError`` `.corrupt` where the bytes are not what `diffID` says, and what the source or the disk
    ///   throws.
    public func writeLayer(index: Int, isFile: Bool = false, diffID: SHA256Digest, source: any ByteSource) throws {
        try writeLayer(index: index, isFile: isFile, diffID: diffID, source: source, hash: AccompaniedSHA256())
    }

    /// The same with a hash of the caller's, which has seen nothing yet: it may do other work beside.
    package func writeLayer(
        index: Int, isFile: Bool, diffID: SHA256Digest, source: any ByteSource, hash: any RunningHash
    ) throws {
        precondition(index == layers.count, "layers are written in order")
        if isFile != writer.takesFile {
            throw CacheError(
                .invalidInput,
                isFile
                    ? "this is a raw file: pull it to file:FILE" : "this is no raw file: pull it to tar:, dir: or oci:")
        }
        try takeOpen()
        let checked = CheckedSource(source, hash, digest: diffID, name: "layer \(index)")
        try writer.writeLayer(checked, index: index, diffID: diffID)
        // A reader of tar entries stops at the tar's end mark; what comes behind belongs to the digest too.
        try checked.drain { _ in }
        layers.append(diffID)
        isOpen = true
    }

    /// Puts the finished image under its name.
    ///
    /// - Parameter configuration: as it was pushed; where there was none and the destination needs one, a minimal one
    ///   is made.
    /// - Returns: what could not be written with the rights at hand, one line each; usually empty.
    public func finish(configuration: ByteBuffer?) throws -> [String] {
        try takeOpen()
        return try writer.finish(configuration: configuration.map { [UInt8]($0.readableBytesView) }, layers: layers)
    }

    /// Half of a layer must never become a finished image: what fails after this leaves the destination closed.
    private func takeOpen() throws {
        guard isOpen else {
            throw CacheError(.closed, "the destination is finished, or a layer of it failed: open it again")
        }
        isOpen = false
    }
}

/// One kind of destination. It removes what it has begun when it is let go of unfinished.
protocol ImageWriter: AnyObject {
    /// Takes raw files instead of tars.
    var takesFile: Bool { get }
    func writeLayer(_ source: any ByteSource, index: Int, diffID: SHA256Digest) throws
    func finish(configuration: [UInt8]?, layers: [SHA256Digest]) throws -> [String]
}

/// Passes bytes on, and ends with an error instead of the end when they are not what their digest says.
private final class CheckedSource: ByteSource {
    private let source: any ByteSource
    private let digest: SHA256Digest
    private let name: String
    /// `nil` once the end was reached.
    private var hash: (any RunningHash)?

    init(_ source: any ByteSource, _ hash: any RunningHash, digest: SHA256Digest, name: String) {
        self.source = source
        self.hash = hash
        self.digest = digest
        self.name = name
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        guard hash != nil else { return 0 }
        let count = try source.read(into: buffer)
        if count > 0 { hash?.update(UnsafeRawBufferPointer(rebasing: buffer[..<count])) } else { try check() }
        return count
    }

    @discardableResult
    func drain(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        guard hash != nil else { return 0 }
        let count = try source.drain { bytes in
            hash?.update(bytes)
            try body(bytes)
        }
        try check()
        return count
    }

    private func check() throws {
        if let hash = hash.take(), hash.finish() != digest {
            throw CacheError(.corrupt, "\(name) is not what its diffID sha256:\(digest) says")
        }
    }
}
