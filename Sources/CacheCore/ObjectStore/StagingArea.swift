internal import CacheBase
internal import CacheFiles
internal import Glibc
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Where a ``FileObjectStore`` writes objects before they get their names: `.tmp` below its root.
///
/// Each open store has a lock file `ID.lock` there, locked for as long as it lives, and temporary files `ID.NUMBER`. The system lets go of
/// the lock when its process dies; whoever opens the area next takes it, and so knows that nobody writes the files of that ID any more.
final class StagingArea: Sendable {
    private let directory: OwnedDescriptor
    private let directories: ObjectDirectories
    private let lock: OwnedDescriptor
    private let id: String
    private let count = Atomic<UInt64>(0)

    private static let name = ".tmp"
    private static let lockSuffix = ".lock"

    /// Makes the area where it is missing, and removes what killed processes have left in it.
    /// - Parameter directories: those that give up descriptors if there are none left.
    init(root: OwnedDescriptor, _ directories: ObjectDirectories) throws {
        self.directories = directories
        if mkdirat(root.number, Self.name, 0o777) != 0, errno != EEXIST { throw CacheError.system("make \(Self.name)") }
        let number = openat(root.number, Self.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard number >= 0 else { throw CacheError.system("open \(Self.name)") }
        directory = OwnedDescriptor(number)
        (id, lock) = try Self.makeLock(in: directory)
        _ = Self.endsWithProcess
        Self.open.withLockedValue { $0[id] = directory.number }
        try removeAbandoned()
    }

    deinit {
        Self.open.withLockedValue { $0[id] = nil }
        unlinkat(directory.number, id + Self.lockSuffix, 0)
    }

    /// The areas of this process by ID, with the descriptor of their directory.
    private static let open = NIOLockedValueBox<[String: Int32]>([:])

    /// A process may end while a task still holds a store: its lock file goes then, too.
    private static let endsWithProcess: Void = {
        _ = atexit {
            StagingArea.open.withLockedValue { areas in
                for (id, directory) in areas { unlinkat(directory, id + StagingArea.lockSuffix, 0) }
            }
        }
    }()

    private static func makeLock(in directory: OwnedDescriptor) throws -> (id: String, lock: OwnedDescriptor) {
        for _ in 0..<100 {
            let id = String(UInt64.random(in: .min ... .max), radix: 36)
            let number = openat(
                directory.number, id + lockSuffix, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
            guard number >= 0 else {
                if errno == EEXIST { continue }
                throw CacheError.system("make a lock in \(name)")
            }
            let lock = OwnedDescriptor(number)
            // One that is cleaning up may have taken it between these two calls, and have removed it.
            guard try FileLock.attempt(lock.number, path: "\(name)/\(id)\(lockSuffix)"),
                let named = FileStatus(of: id + lockSuffix, in: directory),
                try FileStatus(of: lock).identity == named.identity
            else { continue }
            return (id, lock)
        }
        throw CacheError(.conflict, "lock files in \(name) are removed as fast as they are made")
    }

    private func removeAbandoned() throws {
        let entries = try DirectoryEntries.read(directory)
        for entry in entries where entry.name.hasSuffix(Self.lockSuffix) && entry.name != id + Self.lockSuffix {
            let number = openat(directory.number, entry.name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
            // Gone: its owner has just closed its store. Not ours to open: another user's store.
            guard number >= 0 else { continue }
            let abandoned = OwnedDescriptor(number)
            guard try FileLock.attempt(abandoned.number, path: "\(Self.name)/\(entry.name)") else { continue }
            let owner = entry.name.dropLast(Self.lockSuffix.count)
            for file in entries where file.name.hasPrefix(owner + ".") && file.name != entry.name {
                try remove(file.name)
            }
            try remove(entry.name)
        }
        // A lock file is there before and after the files of its ID, so files without one belong to nobody.
        for entry in entries where !entry.name.hasSuffix(Self.lockSuffix) {
            let owner = entry.name.prefix { $0 != "." }
            if FileStatus(of: owner + Self.lockSuffix, in: directory) == nil, errno == ENOENT { try remove(entry.name) }
        }
    }

    private func remove(_ name: String) throws {
        guard unlinkat(directory.number, name, 0) != 0, errno != ENOENT else { return }
        // Another user's, whose next push removes it.
        if [EACCES, EPERM].contains(errno) { return }
        throw CacheError.system("remove \(Self.name)/\(name)")
    }

    /// Writes `body` to a new file and makes it durable, all but its name.
    func write(_ body: ByteBuffer) throws -> StagedFile {
        let name = "\(id).\(count.add(1, ordering: .relaxed).newValue)"
        let number = directories.withRoom {
            openat(directory.number, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
        }
        guard number >= 0 else { throw CacheError.system("make a temporary file") }
        let file = OwnedDescriptor(number)
        let staged = StagedFile(name: name, area: directory)
        try body.withUnsafeReadableBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let written = try retryingInterrupts("write") { Glibc.write(number, rest.baseAddress, rest.count) }
                rest = UnsafeRawBufferPointer(rebasing: rest[written...])
            }
        }
        guard try FileStatus(of: file).size == body.readableBytes else {
            throw CacheError(.io, "the temporary file has not the size that was written")
        }
        try retryingInterrupts("fsync") { fsync(file.number) }
        return staged
    }
}

/// A file that is written and durable but has no name yet that anybody looks at. It is gone when this value is.
struct StagedFile: ~Copyable {
    fileprivate let name: String
    fileprivate let area: OwnedDescriptor

    /// Gives it a name that nothing has yet; false if something has.
    func link(to name: String, in directory: OwnedDescriptor) throws -> Bool {
        if linkat(area.number, self.name, directory.number, name, 0) == 0 { return true }
        if errno == EEXIST { return false }
        throw CacheError.system("link")
    }

    /// Gives it a name, in place of what has it now.
    func rename(to name: String, in directory: OwnedDescriptor) throws {
        if renameat(area.number, self.name, directory.number, name) != 0 { throw CacheError.system("rename") }
    }

    // After `rename` there is nothing to remove. What cannot be removed now is removed when the store is opened next.
    deinit { unlinkat(area.number, name, 0) }
}
