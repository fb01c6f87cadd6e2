package import CacheBase

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
