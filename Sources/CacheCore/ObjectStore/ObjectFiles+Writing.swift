internal import CacheBase
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import NIOCore

// What changes objects. A write returns when the object and its name survive a crash.
extension ObjectFiles {
    func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) throws -> PutOutcome {
        try describing("write", key) {
            let (path, name) = ObjectDirectories.split(key.rawValue[...])
            if let present = try status(of: key) {
                try durably(path) { directory throws(Errno) in
                    try directory.sync(nameMadeAt: present.changed.sinceEpoch)
                }
                return .alreadyPresent
            }
            let staged = try writing().staging.write(body)
            let created = try create(staged, path: path, name: name)
            try durably(path)
            return created ? .created : .alreadyPresent
        }
    }

    func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) throws -> ObjectVersion? {
        try describing("change", key) {
            let (path, name) = ObjectDirectories.split(key.rawValue[...])
            guard try head(key)?.version == expected else { return nil }
            let staged = try writing().staging.write(body)
            if expected == nil {
                guard try create(staged, path: path, name: name) else { return nil }
            } else {
                let changed = try exclusively {
                    guard try head(key)?.version == expected, let directory = try directories.find(path) else {
                        return false
                    }
                    try staged.rename(to: name, in: directory.descriptor)
                    return true
                }
                guard changed else { return nil }
            }
            try durably(path)
            return Self.version(of: body)
        }
    }

    func delete(_ key: ObjectKey) throws {
        try describing("delete", key) {
            let (path, name) = ObjectDirectories.split(key.rawValue[...])
            guard try status(of: key) != nil, let directory = try directories.find(path) else { return }
            // Not between the comparison and the rename of a `replace`, which would bring the object back.
            try exclusively {
                do throws(Errno) {
                    try directory.descriptor.remove(name)
                } catch {
                    if error != .noSuchFile { throw CacheError.system("unlink", error) }
                }
            }
            try durably(path)
        }
    }

    /// The status of an object; `nil` if there is none.
    private func status(of key: ObjectKey) throws -> FileStatus? {
        let (path, name) = ObjectDirectories.split(key.rawValue[...])
        guard let directory = try directories.find(path) else { return nil }
        let status: FileStatus
        do throws(Errno) {
            status = try directory.descriptor.status(of: name)
        } catch {
            if error == .noSuchFile { return nil }
            throw CacheError.system("stat", error)
        }
        switch status.kind {
        case .regular: return status
        case .directory: return nil
        default: throw CacheError.foreign(key.rawValue)
        }
    }

    /// Gives a staged file its name, unless there is an object of that name.
    private func create(_ staged: borrowing StagedFile, path: Substring, name: String) throws -> Bool {
        let directory = try directories.make(path)
        if try staged.link(to: name, in: directory.descriptor) { return true }
        if directory.kind(of: name) == .directory {
            throw CacheError(.io, "there are objects below that name, and a file store cannot keep one beside them")
        }
        return false
    }

    /// Makes names in a directory durable.
    private func durably(
        _ path: Substring, _ sync: (ObjectDirectory) throws(Errno) -> Void = ObjectFiles.sync
    ) throws {
        let directory = try directories.make(path)
        do throws(Errno) {
            try sync(directory)
        } catch {
            directories.forget(path)
            throw CacheError.system("fsync of its directory", error)
        }
    }

    private static func sync(_ directory: ObjectDirectory) throws(Errno) { try directory.sync() }

    private func writing() throws -> Writer {
        try writer.withLockedValue { writer in
            if let writer { return writer }
            let lock = try openLock()
            let made = Writer(staging: try StagingArea(root: rootDirectory, directories), lock: lock)
            writer = made
            return made
        }
    }

    /// The lock file, made if need be. To lock it, reading is enough: it may be another user's.
    private func openLock() throws(CacheError) -> OpenFile {
        let flags = OpenFlags.entry
        let root = rootDirectory.descriptor
        let descriptor = try reporting("open \(Self.lockName)") { () throws(Errno) in
            do throws(Errno) {
                return try directories.withRoom { () throws(Errno) in
                    try root.open(Self.lockName, flags.union([.readWrite, .create]), mode: 0o666)
                }
            } catch .permissionDenied {
                do throws(Errno) { return try root.open(Self.lockName, flags) } catch { throw .permissionDenied }
            }
        }
        return OpenFile(adopting: descriptor, name: "\(self.root)/\(Self.lockName)")
    }

    /// Runs `body` while no other thread or process changes an object under a condition.
    private func exclusively<Result>(_ body: () throws -> Result) throws -> Result {
        let lock = try writing().lock
        return try changing.withLock {
            try FileLock.lock(lock.descriptor, path: lock.name)
            defer { FileLock.unlock(lock.descriptor) }
            return try body()
        }
    }
}
