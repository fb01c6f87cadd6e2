package import CacheBase
internal import Glibc

/// Directories by their path, for paths that the user gave.
package enum DirectoryPath {
    /// Makes the directory and those above it, as `mkdir -p` does; links are followed.
    ///
    /// - Parameters:
    ///   - mode: of each that is made, before the umask.
    ///   - isDurable: each new name survives a crash when this returns; costs an fsync for each.
    package static func make(_ path: String, mode: UInt32, isDurable: Bool) throws(CacheError) {
        if FileStatus.find(path) != nil { return }
        let parent = parent(of: path)
        if parent != path, !path.isEmpty { try make(parent, mode: mode, isDurable: isDurable) }
        do throws(Errno) {
            try Descriptor.workingDirectory.makeDirectory(path, mode: mode)
        } catch {
            // Another one may have been faster.
            if error != .alreadyExists { throw CacheError.system("make directory \(path)", error) }
        }
        if isDurable { try sync(parent) }
    }

    /// Whether there is something else than a directory, or can be nothing at all, whatever the disk does tomorrow.
    package static func canNeverBe(_ path: String) -> Bool {
        do throws(Errno) {
            return try Descriptor.workingDirectory.status(of: path, followingLinks: true).kind != .directory
        } catch {
            return error == .notDirectory || error == .nameTooLong
        }
    }

    /// The directory as the kernel writes it: absolute, without links, dots or doubled slashes, `realpath(3)`.
    ///
    /// - Throws: `.invalidInput` for what is no directory, or is not there; `.io`.
    package static func resolved(_ path: String) throws(CacheError) -> String {
        guard let whole = realpath(path, nil) else {
            let error = Errno.current
            guard error != .noSuchFile, error != .notDirectory else {
                throw CacheError(.invalidInput, "there is no directory \(path): make it first")
            }
            throw CacheError.system("find the directory \(path)", error)
        }
        defer { free(whole) }
        guard let text = String(validatingCString: whole) else {
            throw CacheError(.invalidInput, "the directory \(path) has a name that is not UTF-8")
        }
        guard FileStatus.find(text)?.kind == .directory else {
            throw CacheError(.invalidInput, "\(path) is no directory")
        }
        return text
    }

    /// Makes the names in the directory survive a crash.
    package static func sync(_ path: String) throws(CacheError) {
        let descriptor = try reporting("open directory \(path)") { () throws(Errno) in
            try Descriptor.workingDirectory.open(path, .directory)
        }
        let directory = OpenFile(adopting: descriptor, name: path)
        try reporting("fsync of directory \(path)") { () throws(Errno) in try directory.descriptor.sync() }
    }

    /// The directory that `path` is in: `.` for a bare name.
    package static func parent(of path: String) -> String {
        let (parent, _) = TemporaryName.split(path)
        let trimmed = parent.utf8.count > 1 ? parent.dropLast() : parent
        return trimmed.isEmpty ? "." : String(trimmed)
    }
}
