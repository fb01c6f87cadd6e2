internal import CacheBase
internal import CacheCrypto
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import NIOCore

/// The blocking half of a ``FileObjectStore``: objects as files below one directory.
final class ObjectFiles: Sendable {
    let root: String
    let rootDirectory: OpenFile
    let directories: ObjectDirectories
    /// Made by the first write, so that a store can be read by those who may not write to it.
    let writer = NIOLockedValueBox<Writer?>(nil)
    /// Held while an object changes under a condition that a file operation alone cannot express.
    let changing = NIOLock()

    struct Writer {
        let staging: StagingArea
        /// Keeps changes of other processes out; ``changing`` keeps out those of this one.
        let lock: OpenFile
    }

    static let lockName = ".lock"

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

    /// Whether `root` is still the directory that was opened: it may have been moved, or something else mounted there.
    var isStillThere: Bool { directories.root.isStill(at: root) }

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
                try directory.descriptor.open(name, .entry)
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

    // MARK: Errors and versions

    static func version(of body: ByteBuffer) -> ObjectVersion {
        ObjectVersion(body.withUnsafeReadableBytes { SHA256Digest(hashing: $0).hex })
    }

    private static func tooLong(_ key: ObjectKey, _ size: Int, limit: Int) -> CacheError {
        CacheError(.limitExceeded, "object \(key) has \(size) bytes, more than the \(limit) that it may have")
    }

    /// Names the object in every error that leaves the store.
    func describing<Result: ~Copyable>(
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
