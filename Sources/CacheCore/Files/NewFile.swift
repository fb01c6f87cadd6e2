internal import Glibc

/// A file that appears under its name only when it is complete: written beside it, then renamed.
///
/// A device or pipe (`/dev/stdout`) is written directly. There is no `fsync`: what was pulled can be pulled again.
final class NewFile {
    let file: OpenFile
    private let path: String
    private var temporary: String?

    init(_ path: String) throws {
        self.path = path
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            guard status.st_mode & S_IFMT != S_IFDIR else {
                throw CacheError(.invalidInput, "\(path) is a directory: name a file")
            }
            file = try OpenFile.openStream(path)
            return
        }
        let entry = try TemporaryEntry.file(for: path, mode: 0o666)
        temporary = entry.name
        file = entry.file
    }

    /// Gives the file its name.
    func commit() throws {
        guard let temporary else { return }
        try retryingInterrupts("rename to \(path)") { rename(temporary, path) }
        self.temporary = nil
    }

    deinit {
        if let temporary { unlink(temporary) }
    }
}

/// `tar:FILE` and `file:FILE`: the bytes of one layer, as they are.
final class SingleLayerWriter: ImageWriter {
    let takesFile: Bool
    private let output: NewFile

    init(_ path: String, takesFile: Bool) throws {
        self.takesFile = takesFile
        output = try NewFile(path)
    }

    func writeLayer(_ source: any ByteSource, index: Int, diffID: SHA256Digest) throws {
        guard index == 0 else {
            throw CacheError(
                .invalidInput, "a tar holds one layer and this image has more: pull it to oci:DIR:TAG or dir:DIR")
        }
        let output = SequentialOutput(output.file)
        try source.drain { try output.write($0) }
        try output.finish()
    }

    func finish(configuration: [UInt8]?, layers: [SHA256Digest]) throws -> [String] {
        guard layers.count == 1 else {
            throw CacheError(.invalidInput, "this image has no layer that could be written to a tar")
        }
        try output.commit()
        return []
    }
}
