internal import CacheBase
internal import CacheFiles
internal import NIOConcurrencyHelpers

/// The directory of a chunk store, and the locks by which the processes that share it find out whether they are its
/// only user.
///
/// There are two lock files, both held with `flock`, which the kernel releases when a process ends, however it ends:
///
/// - `use.lock` is held shared by every process that has the environment open, until the environment is closed. A
///   process that can take it exclusively is the only user. It also holds the capacity that the users agreed on.
/// - `open.lock` is held exclusively while a process opens the store. Only its holder takes or converts `use.lock`:
///   `flock` does not convert a lock atomically, and without `open.lock` a second process could come between.
///
/// Releasing `use.lock` needs no other lock, so closing never waits.
final class StoreDirectory: Sendable {
    /// Opening takes well under a second; a process that holds the lock for this long is stopped or hangs.
    private static let patience = Duration.seconds(30)

    /// LMDB forbids to open an environment twice in one process (its file locks would be lost).
    private static let openHere = NIOLockedValueBox<Set<FileStatus.Identity>>([])

    let path: String
    private let identity: FileStatus.Identity
    /// `nil` once it was closed.
    private let useLock: NIOLockedValueBox<OpenFile?>

    private static let dataName = "data.mdb"
    private static let lockName = "lock.mdb"

    var dataPath: String { "\(path)/\(Self.dataName)" }

    /// Claims the directory for this process, making it if need be.
    init(_ path: String) throws {
        self.path = path
        try DirectoryPath.make(path, mode: 0o700, isDurable: false)
        let identity = try Self.claim(path)
        self.identity = identity
        do {
            useLock = NIOLockedValueBox(try Self.openFile("\(path)/use.lock"))
        } catch {
            _ = Self.openHere.withLockedValue { $0.remove(identity) }
            throw error
        }
    }

    private static func claim(_ path: String) throws -> FileStatus.Identity {
        let identity = try reporting("chunk store \(path)") { () throws(Errno) in
            try Descriptor.workingDirectory.status(of: path, followingLinks: true)
        }.identity
        guard openHere.withLockedValue({ $0.insert(identity).inserted }) else {
            throw CacheError(
                .conflict, "chunk store \(path) is already open in this process: use the one that is open, or close it")
        }
        return identity
    }

    /// Runs `body` while no other process opens the store in `path`, and changes nothing there.
    ///
    /// `body` gets the file with the chunks, whether others use the store now, and the capacity that its users agreed
    /// on last.
    /// - Throws: `.missing` if there is no store.
    static func looking<R>(
        at path: String, unless isGivenUp: () -> Bool,
        _ body: (_ data: OpenFile, _ inUse: Bool, _ capacity: UInt64) throws -> R
    ) throws -> R {
        let missing = CacheError(.missing, "there is no chunk store in \(path): check the path")
        let noLock = CacheError(
            .missing, "the chunk store in \(path) has lost a lock file, which is made again when the store is used next"
        )
        func file(_ name: String, _ absent: CacheError) throws(CacheError) -> OpenFile {
            let file = "\(path)/\(name)"
            do throws(Errno) {
                let descriptor = try Descriptor.workingDirectory.open(file, .entry)
                return OpenFile(adopting: descriptor, name: file)
            } catch {
                throw [.noSuchFile, .notDirectory].contains(error) ? absent : .system("open \(file)", error)
            }
        }
        let data = try file(dataName, missing)
        let use = try file("use.lock", noLock)
        let gate = try file("open.lock", noLock)
        defer { withExtendedLifetime(gate) {} }
        let identity = try claim(path)
        defer { _ = openHere.withLockedValue { $0.remove(identity) } }
        try lock(gate, path, unless: isGivenUp)
        let inUse = try !FileLock.attempt(use.descriptor, path: use.name)
        // A process that died before it wrote the number leaves none.
        return try body(data, inUse, try capacity(in: use) ?? 0)
    }

    /// Runs `body` while no other process opens the store, and leaves the directory marked as in use if it succeeds.
    ///
    /// `body` gets `nil` if it is the only user, otherwise the capacity that the others have; it returns the capacity
    /// it used.
    /// - Parameter isGivenUp: whether the wait for others, which takes 30 s at most, is to end now.
    func opening<R>(
        unless isGivenUp: () -> Bool, _ body: (UInt64?) throws -> (R, capacity: UInt64)
    ) throws -> R {
        let gate = try takeGate(unless: isGivenUp)
        defer { withExtendedLifetime(gate) {} }
        guard let use = useLock.withLockedValue({ $0 }) else { throw StoreSession.Broken() }
        if try FileLock.attempt(use.descriptor, path: use.name) {
            let (result, capacity) = try body(nil)
            try writeCapacity(use, capacity)
            mark()
            try share(use)
            return result
        }
        try share(use)
        guard let capacity = try Self.capacity(in: use) else {
            throw CacheError(.io, "read \(use.name): it is too short")
        }
        return try body(capacity).0
    }

    /// Whether a store was opened here before, so that a data file was here.
    var hasBeenUsed: Bool {
        useLock.withLockedValue { file in
            do throws(Errno) { return try (file?.descriptor.status().size ?? 0) > 0 } catch { return false }
        } || isMarked
    }

    /// Runs `body`, which closes the environment, and releases the directory.
    func closing(_ body: () -> Void) {
        body()
        useLock.withLockedValue { $0 = nil }
        _ = Self.openHere.withLockedValue { $0.remove(identity) }
    }

    /// Deletes LMDB's files, so that the store starts empty. Only for the only user.
    func reset() throws {
        try remove(Self.dataName)
        try remove(Self.lockName)
    }

    /// Makes an empty file of the reader table and the mutexes, which hold nothing that outlives their users, with all
    /// its room. LMDB makes it as a hole and writes to it through a map, and on a full disk that is SIGBUS; here it is
    /// an error. Only for the only user.
    func makeLockFile(bytes: Int) throws {
        if clearLockFile(bytes: bytes) { return }
        try remove(Self.lockName)
        let name = "\(path)/\(Self.lockName)"
        let here = Descriptor.workingDirectory
        let descriptor = try reporting("make \(name)") { () throws(Errno) in
            try here.open(name, [.readWrite, .createNew, .noFollow], mode: 0o600)
        }
        let file = OpenFile(adopting: descriptor, name: name)
        do throws(Errno) {
            try file.descriptor.allocate(bytes)
        } catch {
            here.removeIfPossible(name)
            throw CacheError.system("make room for \(name)", error)
        }
    }

    /// Empties the file that is there, in the room that it has: on a full disk another program might take that in the
    /// moment between the old file and a new one.
    /// - Returns: false if it is not one that a store has made, which is then to be replaced.
    private func clearLockFile(bytes: Int) -> Bool {
        let name = "\(path)/\(Self.lockName)"
        do throws(Errno) {
            let descriptor = try Descriptor.workingDirectory.open(name, [.readWrite, .noFollow, .nonBlocking])
            let file = OpenFile(adopting: descriptor, name: name)
            let status = try file.descriptor.status()
            guard status.kind == .regular, status.size == bytes, status.linkCount == 1, status.isOurs else {
                return false
            }
            try withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 8) { zeros throws(Errno) in
                _ = zeros.initializeMemory(as: UInt8.self, repeating: 0)
                try file.descriptor.writeAll(UnsafeRawBufferPointer(zeros), at: 0)
            }
            return true
        } catch {
            return false
        }
    }

    /// Why the disk has no room for another mebibyte; `nil` if it has. LMDB calls a write that was cut short by a full
    /// disk an I/O error.
    func lackOfSpace() -> Errno? {
        let probe = "\(path)/room.tmp"
        let here = Descriptor.workingDirectory
        do throws(Errno) {
            let descriptor = try here.open(probe, [.readWrite, .create, .noFollow], mode: 0o600)
            let file = OpenFile(adopting: descriptor, name: probe)
            defer { here.removeIfPossible(probe) }
            try file.descriptor.allocate(1 << 20)
            return nil
        } catch {
            return [.noSpace, .diskQuotaExceeded, .fileTooLarge].contains(error) ? error : nil
        }
    }

    private func remove(_ name: String) throws(CacheError) {
        do throws(Errno) {
            try Descriptor.workingDirectory.remove("\(path)/\(name)")
        } catch {
            if error != .noSuchFile { throw CacheError.system("remove \(path)/\(name)", error) }
        }
    }

    private func takeGate(unless isGivenUp: () -> Bool) throws -> OpenFile {
        let gate = try Self.openFile("\(path)/open.lock")
        try Self.lock(gate, path, unless: isGivenUp)
        return gate
    }

    /// Waits for a lock that others hold for moments.
    private static func lock(_ gate: OpenFile, _ path: String, unless isGivenUp: () -> Bool) throws {
        guard try FileLock.take(gate.descriptor, path: gate.name, within: patience, unless: isGivenUp) else {
            throw CacheError(
                .timedOut, "chunk store \(path): another process has been opening it for too long; end that process"
            )
        }
    }

    private func share(_ use: OpenFile) throws(CacheError) {
        guard try FileLock.attempt(use.descriptor, .shared, path: use.name) else {
            throw CacheError.system("lock \(use.name)", .wouldBlock)
        }
    }

    private func writeCapacity(_ use: OpenFile, _ capacity: UInt64) throws(CacheError) {
        try withUnsafeBytes(of: capacity) { bytes throws(CacheError) in
            try reporting("write \(use.name)") { () throws(Errno) in try use.descriptor.writeAll(bytes, at: 0) }
        }
    }

    /// The capacity that the users agreed on; `nil` if none was written yet.
    private static func capacity(in use: OpenFile) throws(CacheError) -> UInt64? {
        var capacity = UInt64(0)
        let count = try withUnsafeMutableBytes(of: &capacity) { bytes throws(CacheError) in
            try reporting("read \(use.name)") { () throws(Errno) in try use.descriptor.readAll(into: bytes, at: 0) }
        }
        return count == MemoryLayout<UInt64>.size ? capacity : nil
    }

    private static func openFile(_ path: String) throws(CacheError) -> OpenFile {
        try OpenFile.open(path, [.readWrite, .create, .noFollow, .nonBlocking], mode: 0o600)
    }
}
