package import CacheBase

// The entries of an open directory. Nothing here follows a symbolic link in the place of an entry, unless it is asked
// to.
extension OpenFile {
    /// Opens one entry; what a symbolic link leads to only if that is wanted.
    package func openEntry(
        _ entry: String, _ flags: OpenFlags = [], followingLinks: Bool = false
    ) throws(CacheError) -> OpenFile {
        let path = "\(name)/\(entry)"
        let opened = try reporting("open \(path)") { () throws(Errno) in
            try descriptor.open(entry, followingLinks ? flags : flags.union(.noFollow))
        }
        return OpenFile(adopting: opened, name: path)
    }

    package func openEntry(_ entry: FileName, _ flags: OpenFlags = []) throws(CacheError) -> OpenFile {
        let path = "\(name)/\(entry)"
        let opened = try reporting("open \(path)") { () throws(Errno) in
            try descriptor.open(entry, flags.union(.noFollow))
        }
        return OpenFile(adopting: opened, name: path)
    }

    /// What `entry` is; `nil` if there is none.
    package func statusOfEntry(_ entry: FileName) throws(CacheError) -> FileStatus? {
        do throws(Errno) {
            return try descriptor.status(of: entry)
        } catch .noSuchFile {
            return nil
        } catch {
            throw CacheError.system("stat \(name)/\(entry)", error)
        }
    }

    /// Where the symbolic link `entry` points to.
    package func linkTarget(of entry: FileName) throws(CacheError) -> FileName {
        try reporting("read the link \(name)/\(entry)") { () throws(Errno) in try descriptor.target(ofLink: entry) }
    }

    // MARK: All of them

    /// Hands each entry, with what it is if the filesystem says so, to `body`, in no order, until that returns `false`.
    package func forEachEntry(_ body: (FileName, FileStatus.Kind?) throws -> Bool) throws {
        var stream = try reporting("open \(name)/.") { () throws(Errno) in try DirectoryStream(of: descriptor) }
        while let entry = try next(&stream) {
            if try !body(FileName(bytes: entry.name), entry.kind) { return }
        }
    }

    private func next(_ stream: inout DirectoryStream) throws(CacheError) -> DirectoryStream.Entry? {
        do throws(Errno) { return try stream.next() } catch { throw CacheError.system("list \(name)", error) }
    }

    /// The names of all entries, in no order.
    package func entryNames(atMost limit: Int) throws -> [FileName] {
        var names: [FileName] = []
        try forEachEntry { entry, _ in
            guard names.count < limit else {
                throw Limit.directoryEntries.exceeded("\(name) has more than \(limit) entries")
            }
            names.append(entry)
            return true
        }
        return names
    }

    /// The names of all entries that are directories, in no order.
    package func directoryNames() throws -> [FileName] {
        var names: [FileName] = []
        try forEachEntry { entry, kind in
            if try (kind ?? statusOfEntry(entry)?.kind) == .directory { names.append(entry) }
            return true
        }
        return names
    }

    package func isEmpty() throws -> Bool {
        var isEmpty = true
        try forEachEntry { _, _ in
            isEmpty = false
            return false
        }
        return isEmpty
    }

    /// The names of all entries with what they are, in no order; those whose name is no UTF-8 are left out, and so are
    /// those that are gone by the time they are looked at. Memory grows with their number.
    ///
    /// - Throws: ``CacheError`` that does not name the directory.
    package func namedEntries() throws(CacheError) -> [(name: String, kind: FileStatus.Kind)] {
        var entries: [(name: String, kind: FileStatus.Kind)] = []
        var stream = try reporting("open a directory to list it") { () throws(Errno) in
            try DirectoryStream(of: descriptor)
        }
        do throws(Errno) {
            while let entry = try stream.next() {
                guard let name = String(validating: entry.name, as: UTF8.self) else { continue }
                if let kind = entry.kind ?? kind(of: name) { entries.append((name, kind)) }
            }
        } catch {
            throw CacheError.system("list a directory", error)
        }
        return entries
    }

    private func kind(of entry: String) -> FileStatus.Kind? {
        do throws(Errno) { return try descriptor.status(of: entry).kind } catch { return nil }
    }
}
