internal import CacheBase
internal import CacheCrypto
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import NIOCore

/// The blocking half of a ``FileObjectStore``: objects as files below one directory.
final class ObjectFiles: Sendable {
    let root: String
    private let rootDirectory: OpenFile
    private let directories: ObjectDirectories
    /// Made by the first write, so that a store can be read by those who may not write to it.
    private let writer = NIOLockedValueBox<Writer?>(nil)
    /// Held while an object changes under a condition that a file operation alone cannot express.
    private let changing = NIOLock()

    private struct Writer {
        let staging: StagingArea
        /// Keeps changes of other processes out; ``changing`` keeps out those of this one.
        let lock: OpenFile
    }

    private static let lockName = ".lock"

    init(root: String, create: Bool) throws {
        self.root = root
        if create, !root.isEmpty { try DirectoryPath.make(root, mode: 0o777, isDurable: true) }
        let descriptor: Descriptor
        do throws(Errno) {
            descriptor = try Descriptor.workingDirectory.open(root, .directory)
        } catch {
            if error == .noSuchFile {
                throw CacheError(.missing, "there is no object store at \(root): check the path, or push to it first")
            }
            throw CacheError.system("open object store \(root)", error)
        }
        rootDirectory = OpenFile(adopting: descriptor, name: root)
        directories = ObjectDirectories(root: rootDirectory)
    }

    // MARK: Reading

    func get(_ key: ObjectKey, limit: Int) throws -> StoredObject? {
        try describing("read", key) {
            guard let (file, size) = try open(key) else { return nil }
            guard size <= limit else { throw Self.tooLong(key, size, limit: limit) }
            let body = try read(file, 0..<size)
            return StoredObject(body: body, version: Self.version(of: body))
        }
    }

    func get(_ key: ObjectKey, range: Range<Int>) throws -> ByteBuffer? {
        try describing("read", key) {
            guard let (file, size) = try open(key) else { return nil }
            return try read(file, range.clamped(to: 0..<size))
        }
    }

    func head(_ key: ObjectKey) throws -> ObjectInfo? {
        try describing("read", key) {
            guard let (file, size) = try open(key) else { return nil }
            var hash = SHA256Stream()
            let pieceBytes = 1 << 20
            for start in stride(from: 0, to: size, by: pieceBytes) {
                try read(file, start..<min(start + pieceBytes, size)).withUnsafeReadableBytes { hash.update($0) }
            }
            return ObjectInfo(size: size, version: ObjectVersion(hash.finish().hex))
        }
    }

    func list(prefix: String, delimiter: Bool, after: String?, limit: Int) throws -> ObjectPage {
        do {
            var listing = ObjectListing(
                directories: directories, prefix: prefix, delimiter: delimiter, after: after, limit: limit)
            return try listing.read()
        } catch {
            throw CacheError(.io, "cannot list objects \(prefix)* of \(root)", cause: error)
        }
    }

    private func open(_ key: ObjectKey) throws -> (file: OpenFile, size: Int)? {
        let (path, name) = ObjectDirectories.split(key.rawValue[...])
        guard let directory = try directories.find(path) else { return nil }
        let descriptor: Descriptor
        do throws(Errno) {
            // Not to wait for the other end, should it be a FIFO.
            descriptor = try directories.withRoom { () throws(Errno) in
                try directory.descriptor.open(name, [.noFollow, .nonBlocking])
            }
        } catch {
            switch error {
            case .noSuchFile: return nil
            case .symbolicLink, .noDeviceOrAddress: throw CacheError.foreign(key.rawValue)
            default: throw CacheError.system("open", error)
            }
        }
        let file = OpenFile(adopting: descriptor, name: key.rawValue)
        let status = try reporting("fstat") { () throws(Errno) in try file.descriptor.status() }
        switch status.kind {
        case .regular: return (file, status.size)
        case .directory: return nil
        default: throw CacheError.foreign(key.rawValue)
        }
    }

    private func read(_ file: OpenFile, _ range: Range<Int>) throws -> ByteBuffer {
        var body = ByteBufferAllocator().buffer(capacity: range.count)
        try body.writeWithUnsafeMutableBytes(minimumWritableBytes: range.count) { space in
            let part = UnsafeMutableRawBufferPointer(rebasing: space[..<range.count])
            let count = try reporting("read") { () throws(Errno) in
                try file.descriptor.readAll(into: part, at: range.lowerBound)
            }
            guard count == range.count else {
                throw CacheError(.corrupt, "the file became shorter while it was read")
            }
            return count
        }
        return body
    }

    // MARK: Writing

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
            // A change that has compared must not bring the object back.
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
        let flags: OpenFlags = [.noFollow, .nonBlocking]
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

    // MARK: Errors and versions

    private static func version(of body: ByteBuffer) -> ObjectVersion {
        ObjectVersion(body.withUnsafeReadableBytes { SHA256Digest(hashing: $0).hex })
    }

    private static func tooLong(_ key: ObjectKey, _ size: Int, limit: Int) -> CacheError {
        CacheError(.limitExceeded, "object \(key) has \(size) bytes, more than the \(limit) that it may have")
    }

    /// Names the object in every error that leaves the store.
    private func describing<Result: ~Copyable>(
        _ what: String, _ key: ObjectKey, _ body: () throws -> Result
    ) throws -> Result {
        do {
            return try body()
        } catch let error as CacheError where error.code == .limitExceeded || error.cause != nil {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            let code = (error as? CacheError)?.code ?? .io
            throw CacheError(code, "cannot \(what) object \(key) of \(root)", cause: error)
        }
    }
}
