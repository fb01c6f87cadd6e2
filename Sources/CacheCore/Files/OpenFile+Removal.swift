internal import CacheBase

// Removing what is in an open directory.
extension OpenFile {
    /// Directories inside one another that are open while one is removed; a deeper one is moved up first.
    private static let mostOpenToRemove = 32

    /// Removes everything in this directory.
    package func removeContents() throws {
        for entry in try entryNames(atMost: Int.max) { try removeEntry(entry) }
    }

    /// Removes `entry`, with all that is in it if it is a directory, however deep; none is no error.
    package func removeEntry(_ entry: FileName) throws {
        var pending = [entry]
        while let next = pending.popLast() { try removeEntry(next, of: self, level: 0, &pending) }
    }

    /// - Parameter pending: names of this directory under which something was put that is yet to be removed.
    private func removeEntry(
        _ entry: FileName, of directory: OpenFile, level: Int, _ pending: inout [FileName]
    ) throws {
        do throws(Errno) {
            return try directory.descriptor.remove(entry)
        } catch {
            if error == .noSuchFile { return }
            // Linux says EISDIR for a directory, POSIX EPERM.
            guard error == .isDirectory || error == .notPermitted else {
                throw CacheError.system("remove \(directory.name)/\(entry)", error)
            }
        }
        if level == Self.mostOpenToRemove {
            let name = FileName(TemporaryName.unique(TemporaryName.insidePrefix))
            try reporting("move \(directory.name)/\(entry)") { () throws(Errno) in
                try directory.descriptor.rename(entry, to: descriptor, name)
            }
            pending.append(name)
            return
        }
        let child = try directory.openEntry(entry, .directory)
        for name in try child.entryNames(atMost: Int.max) {
            try removeEntry(name, of: child, level: level + 1, &pending)
        }
        try reporting("remove \(directory.name)/\(entry)") { () throws(Errno) in
            try directory.descriptor.removeDirectory(entry)
        }
    }
}
