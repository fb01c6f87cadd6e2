internal import CacheBase
internal import CacheFiles
internal import Glibc
internal import NIOConcurrencyHelpers

/// The directory of a chunk store, and the locks by which the processes that share it find out whether they are its only user.
///
/// There are two lock files, both held with `flock`, which the kernel releases when a process ends, however it ends:
///
/// - `use.lock` is held shared by every process that has the environment open, until the environment is closed. A process that can take it
///   exclusively is the only user. It also holds the capacity that the users agreed on.
/// - `open.lock` is held exclusively while a process opens the store. Only its holder takes or converts `use.lock`: `flock` does not convert
///   a lock atomically, and without `open.lock` a second process could come between.
///
/// Releasing `use.lock` needs no other lock, so closing never waits.
final class StoreDirectory: Sendable {
    /// Opening takes well under a second; a process that holds the lock for this long is stopped or hangs.
    private static let patience = Duration.seconds(30)

    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// LMDB forbids to open an environment twice in one process (its file locks would be lost).
    private static let openHere = NIOLockedValueBox<Set<Identity>>([])

    let path: String
    private let identity: Identity
    private let useLock: NIOLockedValueBox<Int32>

    private static let dataName = "data.mdb"

    var dataPath: String { "\(path)/\(Self.dataName)" }

    /// Claims the directory for this process, making it if need be.
    init(_ path: String) throws {
        self.path = path
        try Self.makeDirectory(path)
        let identity = try Self.claim(path)
        self.identity = identity
        do {
            useLock = NIOLockedValueBox(try Self.openFile("\(path)/use.lock"))
        } catch {
            _ = Self.openHere.withLockedValue { $0.remove(identity) }
            throw error
        }
    }

    private static func claim(_ path: String) throws -> Identity {
        var status = stat()
        guard stat(path, &status) == 0 else { throw CacheError.system("chunk store \(path)") }
        let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        guard openHere.withLockedValue({ $0.insert(identity).inserted }) else {
            throw CacheError(
                .conflict, "chunk store \(path) is already open in this process: use the one that is open, or close it")
        }
        return identity
    }

    /// Runs `body` while no other process opens the store in `path`, and changes nothing there.
    ///
    /// `body` gets the file with the chunks, whether others use the store now, and the capacity that its users agreed on last.
    /// - Throws: `.missing` if there is no store.
    static func looking<R>(
        at path: String, unless isGivenUp: () -> Bool,
        _ body: (_ data: Int32, _ inUse: Bool, _ capacity: UInt64) throws -> R
    ) throws -> R {
        let missing = CacheError(.missing, "there is no chunk store in \(path): check the path")
        let noLock = CacheError(
            .missing, "the chunk store in \(path) has lost a lock file, which is made again when the store is used next"
        )
        func descriptor(_ name: String, _ absent: CacheError) throws -> OwnedDescriptor {
            let number = open("\(path)/\(name)", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
            if number < 0 { throw [ENOENT, ENOTDIR].contains(errno) ? absent : .system("open \(path)/\(name)") }
            return OwnedDescriptor(number)
        }
        let data = try descriptor(dataName, missing)
        let use = try descriptor("use.lock", noLock)
        let gate = try descriptor("open.lock", noLock)
        let identity = try claim(path)
        defer { _ = openHere.withLockedValue { $0.remove(identity) } }
        try lock(gate.number, path, unless: isGivenUp)
        let inUse = flock(use.number, LOCK_EX | LOCK_NB) != 0
        if inUse, errno != EWOULDBLOCK { throw CacheError.system("lock \(path)/use.lock") }
        var capacity = UInt64(0)
        // A process that died before it wrote the capacity has left the file empty: 0.
        _ = withUnsafeMutableBytes(of: &capacity) { pread(use.number, $0.baseAddress, $0.count, 0) }
        return try body(data.number, inUse, capacity)
    }

    /// Runs `body` while no other process opens the store, and leaves the directory marked as in use if it succeeds.
    ///
    /// `body` gets `nil` if it is the only user, otherwise the capacity that the others have; it returns the capacity it used.
    /// - Parameter isGivenUp: whether the wait for others, which takes 30 s at most, is to end now.
    func opening<R>(
        unless isGivenUp: () -> Bool, _ body: (UInt64?) throws -> (R, capacity: UInt64)
    ) throws -> R {
        let gate = try takeGate(unless: isGivenUp)
        defer { close(gate) }
        let descriptor = useLock.withLockedValue { $0 }
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 {
            let (result, capacity) = try body(nil)
            try writeCapacity(descriptor, capacity)
            mark()
            try share(descriptor)
            return result
        }
        guard errno == EWOULDBLOCK else { throw CacheError.system("lock \(path)/use.lock") }
        try share(descriptor)
        return try body(try readCapacity(descriptor)).0
    }

    /// Whether a store was opened here before, so that a data file was here.
    var hasBeenUsed: Bool {
        useLock.withLockedValue { descriptor in
            var status = stat()
            return fstat(descriptor, &status) == 0 && status.st_size > 0
        } || isMarked
    }

    /// Runs `body`, which closes the environment, and releases the directory.
    func closing(_ body: () -> Void) {
        body()
        useLock.withLockedValue { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
        _ = Self.openHere.withLockedValue { $0.remove(identity) }
    }

    /// Deletes LMDB's files, so that the store starts empty. Only for the only user.
    func reset() throws {
        try remove(Self.dataName)
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

    /// Why the disk has no room for another mebibyte; 0 if it has. LMDB calls a write that was cut short by a full disk an I/O error.
    func lackOfSpace() -> Int32 {
        let probe = "\(path)/room.tmp"
        let descriptor = open(probe, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return [ENOSPC, EDQUOT].contains(errno) ? errno : 0 }
        defer {
            close(descriptor)
            unlink(probe)
        }
        let number = posix_fallocate(descriptor, 0, 1 << 20)
        return [ENOSPC, EDQUOT, EFBIG].contains(number) ? number : 0
    }

    private func remove(_ name: String) throws {
        if unlink("\(path)/\(name)") != 0, errno != ENOENT { throw CacheError.system("remove \(path)/\(name)") }
    }

    private func takeGate(unless isGivenUp: () -> Bool) throws -> Int32 {
        let descriptor = try Self.openFile("\(path)/open.lock")
        do {
            try Self.lock(descriptor, path, unless: isGivenUp)
            return descriptor
        } catch {
            close(descriptor)
            throw error
        }
    }

    /// Waits for a lock that others hold for moments. It asks again and again, because a wait in the kernel has no end.
    private static func lock(_ gate: Int32, _ path: String, unless isGivenUp: () -> Bool) throws {
        let end = ContinuousClock.now + patience
        while flock(gate, LOCK_EX | LOCK_NB) != 0 {
            let number = errno
            guard number == EWOULDBLOCK || number == EINTR else {
                throw CacheError.system("lock \(path)/open.lock", number)
            }
            guard !isGivenUp(), ContinuousClock.now < end else {
                throw CacheError(
                    .timedOut, "chunk store \(path): another process has been opening it for too long; end that process"
                )
            }
            usleep(5_000)
        }
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
