internal import CacheBase
internal import CacheCrypto
internal import CacheFiles
internal import CacheLayers

/// An OCI layout as a tar: blobs in the order in which they come, each header written when the size of its blob is
/// known.
final class LayoutArchive: LayoutSink {
    private let path: String
    private let archive: NewFile
    private let output: SequentialOutput

    init(_ path: String) throws {
        self.path = path
        // Before it is opened: there is no reader to wait for.
        if let status = FileStatus.find(path), ![.regular, .directory].contains(status.kind) {
            throw CacheError(.invalidInput, "\(path) is not a file: an OCI archive cannot be written to a pipe")
        }
        archive = try NewFile(path)
        output = SequentialOutput(archive.file)
        for directory in ["blobs/", "blobs/sha256/"] {
            try write(TarHeaderEncoder(path: FileName(directory), kind: .directory, mode: 0o755).encoded())
        }
    }

    func putBlob(_ source: any ByteSource, digest: SHA256Digest) throws -> Int {
        let start = output.position
        try write([UInt8](repeating: 0, count: TarHeaderEncoder.block))
        let size = try source.drain { try output.write($0) }
        try pad()
        let header = TarHeaderEncoder(path: FileName("blobs/sha256/\(digest)"), kind: .file, mode: 0o644, size: size)
            .encoded()
        precondition(header.count == TarHeaderEncoder.block, "the header of a blob is one block")
        let written = try header.withUnsafeBytes { header in
            try reporting("write \(path)") { () throws(Errno) in
                try archive.file.descriptor.write(header, at: start)
            }
        }
        guard written == header.count else { throw CacheError(.io, "write \(path): the disk is full") }
        return size
    }

    func putBlob(_ bytes: [UInt8], digest: SHA256Digest) throws {
        try put(bytes, as: "blobs/sha256/\(digest)")
    }

    func finish(manifest: OCIDescriptor) throws {
        struct Index: Encodable {
            var schemaVersion = 2
            var mediaType = OCIMediaType.index
            var manifests: [OCIDescriptor]
        }
        try put(JSONDocument.encode(OCILayoutMarker.current), as: "oci-layout")
        try put(JSONDocument.encode(Index(manifests: [manifest])), as: "index.json")
        try write([UInt8](repeating: 0, count: 2 * TarHeaderEncoder.block))
        try output.finish()
        try archive.commit()
    }

    private func put(_ bytes: [UInt8], as path: String) throws {
        try write(TarHeaderEncoder(path: FileName(path), kind: .file, mode: 0o644, size: bytes.count).encoded())
        try write(bytes)
        try pad()
    }

    private func write(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try output.write($0) }
    }

    private func pad() throws {
        try write([UInt8](repeating: 0, count: TarHeaderEncoder.padding(after: output.position)))
    }
}
