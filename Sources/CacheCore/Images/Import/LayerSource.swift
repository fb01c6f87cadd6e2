public import CacheChunks
public import CacheCrypto
public import CacheFiles

/// One layer of what is pushed: uncompressed tar bytes, or one raw file.
public struct LayerSource: Sendable {
    /// What messages and progress lines call it.
    public let name: String
    /// A raw file; otherwise the bytes are a tar.
    public let isFile: Bool
    /// SHA-256 of the uncompressed bytes as the image's configuration promises it; `nil` where no configuration does.
    /// It is not checked here: what reads the layer hashes its bytes and compares.
    public let diffID: SHA256Digest?
    /// Bytes as they lie in the source, for progress; `nil` where that is not known before they are read.
    public let compressedSize: Int?
    /// What kind of layer it becomes.
    public var kind: LayerKind { isFile ? .file : .tar }
    private let opener: @Sendable (_ readerCompares: Bool) throws -> any ByteSource

    package init(
        name: String, isFile: Bool = false, diffID: SHA256Digest? = nil, compressedSize: Int?,
        opener: @escaping @Sendable (_ readerCompares: Bool) throws -> any ByteSource
    ) {
        self.name = name
        self.isFile = isFile
        self.diffID = diffID
        self.compressedSize = compressedSize
        self.opener = opener
    }

    package init(
        name: String, isFile: Bool = false, diffID: SHA256Digest? = nil, compressedSize: Int?,
        opener: @escaping @Sendable () throws -> any ByteSource
    ) {
        self.init(name: name, isFile: isFile, diffID: diffID, compressedSize: compressedSize) { _ in try opener() }
    }

    /// The uncompressed bytes from the start. Blocks, here and in each read; the result belongs to one thread.
    ///
    /// A layer can be opened again, and by several threads at once, unless it comes from a pipe.
    /// - Throws: ``CacheError``: here or while reading; `.corrupt` at the latest at the end where a blob is not what
    ///   its digest says.
    public func open() throws -> any ByteSource { try opener(false) }

    /// As ``open()``, for a reader that hashes all bytes itself and compares with ``diffID``: what that proves is not
    /// checked twice.
    package func openToCompare() throws -> any ByteSource { try opener(true) }
}
