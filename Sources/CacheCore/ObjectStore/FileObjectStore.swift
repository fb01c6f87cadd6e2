public import CacheBase
internal import NIOConcurrencyHelpers
public import NIOCore
internal import NIOPosix
internal import Synchronization

/// An object store in a directory of a local filesystem: the embedded default of L3.
///
/// An object is a file of its name. It is written to a temporary file, checked, made durable, given its name in one
/// step, and the name made durable before a write returns. Names that begin with a dot are the store's own. Several
/// processes may use one directory.
///
/// What a filesystem imposes beyond S3: there cannot be an object `a` and another `a/b`, and no component is longer
/// than 255 bytes. The filesystem must support hard links and `flock`. Where the directory goes away, or another
/// one comes in its place, each call is one of what is there then.
///
/// Calls run on threads of the store's own, never on the caller's. A version is the SHA-256 of the bytes, so
/// ``get(_:limit:)`` and ``head(_:)`` read and hash the whole object; ``get(_:range:)`` does not, and is the one for
/// chunks, which have names to check.
public final class FileObjectStore: ObjectStore {
    private let files: NIOLockedValueBox<ObjectFiles>
    private let pool: NIOThreadPool
    private let inFlight = Atomic<Int>(0)
    private let maximumInFlight: Int

    /// Opens the store in the directory `root`.
    ///
    /// - Parameters:
    ///   - root: absolute, or relative to the working directory.
    ///   - create: makes the directory, and those above it, if it is missing.
    ///   - threads: how many calls run at the same time. They mostly wait for the disk, so more than there are cores is
    ///     right (measured on two cores: 8 put 2,900 objects of 200 KiB a second, 16 put 1,800).
    ///   - maximumInFlight: how many calls may run or wait; one more is refused with `.overloaded`.
    /// - Throws: ``CacheError`` that names the directory. Blocks for some file operations.
    public init(root: String, create: Bool, threads: Int = 8, maximumInFlight: Int = 4096) throws {
        precondition(threads > 0 && maximumInFlight > 0)
        self.root = root
        files = NIOLockedValueBox(try ObjectFiles(root: root, create: create))
        self.maximumInFlight = maximumInFlight
        pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
    }

    deinit {
        // The last call has returned: its task holds a reference. No thread of the pool has anything left to do.
        pool.shutdownGracefully { _ in }
    }

    /// The directory, as it was given.
    public let root: String

    /// The directory as it is now. Blocks for one look at its path.
    private func current() throws -> ObjectFiles {
        let known = files.withLockedValue { $0 }
        if known.isStillThere { return known }
        let opened: ObjectFiles
        do { opened = try ObjectFiles(root: root, create: false) } catch let error as CacheError {
            // `missing` would say that an object is missing, and not the store.
            throw CacheError(.io, error.message, cause: error.cause)
        }
        files.withLockedValue { $0 = opened }
        return opened
    }

    public func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        try await run { try $0.get(key, limit: limit) }
    }

    public func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        try await run { try $0.get(key, range: range) }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await run { try $0.head(key) }
    }

    public func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        try await run { try $0.putIfAbsent(key, body) }
    }

    public func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) async throws -> ObjectVersion? {
        try await runWaiting { try $0.replace(key, body, expecting: expected) }
    }

    public func delete(_ key: ObjectKey) async throws {
        try await runWaiting { try $0.delete(key) }
    }

    public func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage {
        try await run { try $0.list(prefix: prefix, delimiter: delimiter, after: after, limit: limit) }
    }

    private func run<Result: Sendable>(
        _ call: @escaping @Sendable (ObjectFiles) throws -> Result
    ) async throws -> Result {
        try await admitted { try await pool.runIfActive { try call(self.current()) } }
    }

    /// The same for what may wait for the lock of another process.
    private func runWaiting<Result: Sendable>(
        _ call: @escaping @Sendable (ObjectFiles) throws -> Result
    ) async throws -> Result {
        try await admitted { try await pool.runCancellable { try call(self.current()) } }
    }

    private func admitted<Result>(_ call: () async throws -> Result) async throws -> Result {
        defer { inFlight.subtract(1, ordering: .relaxed) }
        guard inFlight.add(1, ordering: .relaxed).newValue <= maximumInFlight else {
            throw CacheError(
                .overloaded, "\(maximumInFlight) calls to the object store \(root) are under way: try again later")
        }
        return try await call()
    }
}
