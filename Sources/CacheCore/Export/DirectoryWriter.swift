internal import Glibc

/// `dir:DIR`: the files of an image, its layers applied over one another in a directory that is empty or does not exist.
///
/// A new directory is filled under another name and gets its own when it is complete. An existing one is filled in place (it may be a mount
/// point), and emptied again if that fails.
final class DirectoryWriter: ImageWriter {
    let takesFile = false
    private let path: String
    private let root: OpenFile
    private let temporary: String?
    private var tree: TreeWriter
    private var finished = false

    init(_ path: String, limits: ImportLimits) throws {
        self.path = path
        var status = stat()
        if stat(path, &status) == 0 {
            temporary = nil
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw CacheError(.invalidInput, "\(path) is not a directory")
            }
            root = try OpenFile.open(path, O_RDONLY | O_DIRECTORY)
            guard try root.entryNames(atMost: Int.max).isEmpty else {
                throw CacheError(.invalidInput, "\(path) is not empty: name a directory that is, or a new one")
            }
        } else {
            let temporary = TemporaryName.beside(path)
            try retryingInterrupts("make the directory \(path)") { mkdir(temporary, 0o755) }
            self.temporary = temporary
            root = try OpenFile.open(temporary, O_RDONLY | O_DIRECTORY)
        }
        tree = TreeWriter(root, limits: limits)
    }

    func writeLayer(_ source: any ByteSource, index: Int, diffID: SHA256Digest) throws {
        try tree.apply(source, name: "layer \(index)", isLowest: index == 0)
    }

    func finish(configuration: [UInt8]?, layers: [SHA256Digest]) throws -> [String] {
        try tree.finish()
        if let temporary {
            try retryingInterrupts("rename to \(path)") { rename(temporary, path) }
        }
        finished = true
        return tree.omissions.notes
    }

    deinit {
        guard !finished else { return }
        // Best effort: the error that led here is the one to report.
        try? root.removeContents()
        if let temporary { rmdir(temporary) }
    }
}
