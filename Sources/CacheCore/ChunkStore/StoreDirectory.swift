internal import Glibc
internal import NIOConcurrencyHelpers

/// The directory of a chunk store: who uses it, and whether that is this store alone.
///
/// Two lock files. Users hold `use.lock` shared for as long as they have the environment open. It is taken, tried exclusively and
/// changed only by whoever holds `open.lock`, so the step from exclusive to shared, which flock does not do atomically, cannot be
/// overtaken. Both go away with the process, however that ends. `use.lock` also says which capacity the users agreed on.
final class StoreDirectory: Sendable {
    /// Opening takes well under a second; whoever holds the lock for longer is stopped or hangs.
    private static let patienceMilliseconds = 30_000

    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// LMDB forbids to open an environment twice in one process (its file locks would be lost).
    private static let openHere = NIOLockedValueBox<Set<Identity>>([])

    let path: String
    private let identity: Identity
    private let useLock: NIOLockedValueBox<Int32>

    var dataPath: String { "\(path)/data.mdb" }

    /// Claims the directory for this process, making it if need be.
    init(_ path: String) throws {
        self.path = path
        try Self.makeDirectory(path)
        var status = stat()
        guard stat(path, &status) == 0 else { throw CacheError.system("chunk store \(path)") }
        let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        self.identity = identity
        guard Self.openHere.withLockedValue({ $0.insert(identity).inserted }) else {
            throw CacheError(
                .conflict, "chunk store \(path) is already open in this process: use the one that is open, or close it")
        }
        do {
            useLock = NIOLockedValueBox(try Self.openFile("\(path)/use.lock"))
        } catch {
            _ = Self.openHere.withLockedValue { $0.remove(identity) }
            throw error
        }
    }

    /// Runs `body` while nobody else opens or closes the store, and leaves the directory marked as in use if it succeeds.
    ///
    /// `body` gets `nil` if it is the only user, otherwise the capacity that the others have; it returns the capacity it used.
    func opening<R>(_ body: (UInt64?) throws -> (R, capacity: UInt64)) throws -> R {
        let gate = try takeGate()
        defer { close(gate) }
        let descriptor = useLock.withLockedValue { $0 }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
            let (result, capacity) = try body(nil)
            try writeCapacity(descriptor, capacity)
            try share(descriptor)
            return result
        }
        guard errno == EWOULDBLOCK else { throw CacheError.system("lock \(path)/use.lock") }
        try share(descriptor)
        return try body(try readCapacity(descriptor)).0
    }

    /// Runs `body`, which closes the environment, and gives the directory up.
    func closing(_ body: () -> Void) {
        let gate = try? takeGate()
        body()
        useLock.withLockedValue { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
        _ = Self.openHere.withLockedValue { $0.remove(identity) }
        if let gate { close(gate) }
    }

    /// Deletes LMDB's files, so that the store starts empty. Only for the only user.
    func reset() throws {
        try remove("data.mdb")
        try remove("lock.mdb")
    }

    /// Deletes the reader table and the mutexes, which hold nothing that outlives their users. Only for the only user.
    func removeLockFile() throws {
        try remove("lock.mdb")
    }

    /// Makes the file of the reader table with all its room. LMDB makes it as a hole and writes to it through a map, and on a full disk
    /// that is SIGBUS; here it is an error. Only for the only user, after ``removeLockFile()``.
    func makeLockFile(bytes: Int) throws {
        let descriptor = try retryingInterrupts("make \(path)/lock.mdb") {
            open("\(path)/lock.mdb", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        }
        defer { close(descriptor) }
        let number = posix_fallocate(descriptor, 0, off_t(bytes))
        guard number == 0 else {
            unlink("\(path)/lock.mdb")
            throw CacheError.system("make room for \(path)/lock.mdb", number)
        }
    }

    private func remove(_ name: String) throws {
        if unlink("\(path)/\(name)") != 0, errno != ENOENT { throw CacheError.system("remove \(path)/\(name)") }
    }

    private func takeGate() throws -> Int32 {
        let descriptor = try Self.openFile("\(path)/open.lock")
        var waited = 0
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let number = errno
            guard number == EWOULDBLOCK || number == EINTR, waited < Self.patienceMilliseconds else {
                close(descriptor)
                if number != EWOULDBLOCK { throw CacheError.system("lock \(path)/open.lock", number) }
                throw CacheError(
                    .timedOut, "chunk store \(path): another process has been opening it for 30 s; end that process")
            }
            usleep(5_000)
            waited += 5
        }
        return descriptor
    }

    private func share(_ descriptor: Int32) throws {
        try retryingInterrupts("lock \(path)/use.lock") { flock(descriptor, LOCK_SH | LOCK_NB) }
    }

    private func writeCapacity(_ descriptor: Int32, _ capacity: UInt64) throws {
        let written = withUnsafeBytes(of: capacity) { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        if written != MemoryLayout<UInt64>.size { throw CacheError.system("write \(path)/use.lock") }
    }

    private func readCapacity(_ descriptor: Int32) throws -> UInt64 {
        var capacity = UInt64(0)
        let count = withUnsafeMutableBytes(of: &capacity) { pread(descriptor, $0.baseAddress, $0.count, 0) }
        if count != MemoryLayout<UInt64>.size { throw CacheError.system("read \(path)/use.lock") }
        return capacity
    }

    private static func openFile(_ path: String) throws -> Int32 {
        try retryingInterrupts("open \(path)") {
            open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o600)
        }
    }

    /// Makes the directory and those above it.
    private static func makeDirectory(_ path: String) throws {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        let parent = path.split(separator: "/", omittingEmptySubsequences: true).dropLast().joined(separator: "/")
        guard errno == ENOENT, !parent.isEmpty else { throw CacheError.system("make directory \(path)") }
        try makeDirectory(path.hasPrefix("/") ? "/\(parent)" : parent)
        if mkdir(path, 0o700) != 0, errno != EEXIST { throw CacheError.system("make directory \(path)") }
    }
}
