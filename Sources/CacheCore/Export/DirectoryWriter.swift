internal import Glibc

/// `dir:DIR`: the files of an image, its layers applied over one another in a directory that is empty or does not exist.
///
/// A new directory is filled under another name and gets its own when it is complete. An existing one may be a mount point, which cannot be
/// replaced: a directory inside of it is filled, and what is in there moves up at the end. Killed before that, a pull leaves nothing that
/// is in the way of the next one; killed while it moves up and sets modes and times, it leaves a directory that is not empty.
final class DirectoryWriter: ImageWriter {
    let takesFile = false
    private let path: String
    private let temporary: TemporaryEntry
    /// The directory that was there.
    private let existing: OpenFile?
    private var tree: TreeWriter
    /// What stands in `existing` now.
    private var movedUp: [FileName] = []
    private var finished = false

    init(_ path: String, limits: ImportLimits, whiteouts: Bool) throws {
        self.path = path
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw CacheError(.invalidInput, "\(path) is not a directory")
            }
            let directory = try OpenFile.open(path, O_RDONLY | O_DIRECTORY)
            TemporaryEntry.removeAbandoned(in: directory, prefix: TemporaryName.insidePrefix)
            guard try directory.isEmpty() else {
                throw CacheError(.invalidInput, "\(path) is not empty: name a directory that is, or a new one")
            }
            existing = directory
            temporary = try TemporaryEntry.directory(in: directory)
        } else {
            existing = nil
            temporary = try TemporaryEntry.directory(for: path)
        }
        tree = TreeWriter(temporary.file, limits: limits, whiteouts: whiteouts)
    }

    func writeLayer(_ source: any ByteSource, index: Int, diffID: SHA256Digest) throws {
        try tree.apply(source, name: "layer \(index)", isLowest: index == 0)
    }

    func finish(configuration: [UInt8]?, layers: [SHA256Digest]) throws -> [String] {
        if let existing {
            try tree.finish { try self.moveUp(into: existing) }
        } else {
            try tree.finish()
            guard rename(temporary.name, path) == 0 else {
                if [ENOTEMPTY, EEXIST].contains(errno) { throw conflict(path) }
                throw CacheError.system("rename to \(path)")
            }
        }
        finished = true
        return tree.omissions.notes
    }

    private func conflict(_ path: String) -> CacheError {
        CacheError(.conflict, "\(path) was made by somebody else while the image was pulled: name another directory")
    }

    private func moveUp(into directory: OpenFile) throws -> OpenFile {
        for name in try temporary.file.entryNames(atMost: Int.max) {
            guard try directory.statusOfEntry(name) == nil else {
                throw conflict("\(path)/\(name)")
            }
            try retryingInterrupts("rename to \(path)/\(name)") {
                name.withCString { renameat(temporary.file.descriptor, $0, directory.descriptor, $0) }
            }
            movedUp.append(name)
        }
        try retryingInterrupts("remove \(path)/\(temporary.name)") {
            unlinkat(directory.descriptor, temporary.name, AT_REMOVEDIR)
        }
        return directory
    }

    deinit {
        guard !finished else { return }
        // Best effort: the error that led here is the one to report.
        for name in movedUp { try? existing?.removeEntry(name) }
        try? temporary.file.removeContents()
        unlinkat(existing?.descriptor ?? AT_FDCWD, temporary.name, AT_REMOVEDIR)
    }
}
