internal import CacheBase
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Where a ``FileObjectStore`` writes objects before they get their names: `.tmp` below its root.
///
/// Each open store has a lock file `ID.lock` there, locked for as long as it lives, and temporary files `ID.NUMBER`.
/// The system lets go of the lock when its process dies; the store that is opened next takes it, and so knows that the
/// files of that ID are not written any more.
final class StagingArea: Sendable {
    private let directory: OpenFile
    private let directories: ObjectDirectories
    private let lock: OpenFile
    private let id: String
    private let count = Atomic<UInt64>(0)

    private static let name = ".tmp"
    private static let lockSuffix = ".lock"

    /// Makes the area where it is missing, and removes what killed processes have left in it.
    /// - Parameter directories: those that give up descriptors if there are none left.
    init(root: OpenFile, _ directories: ObjectDirectories) throws {
        self.directories = directories
        do throws(Errno) {
            try root.descriptor.makeDirectory(Self.name, mode: 0o777)
        } catch {
            if error != .alreadyExists { throw CacheError.system("make \(Self.name)", error) }
        }
        let descriptor = try reporting("open \(Self.name)") { () throws(Errno) in
            try root.descriptor.open(Self.name, .subdirectory)
        }
        directory = OpenFile(adopting: descriptor, name: Self.name)
        (id, lock) = try Self.makeLock(in: directory)
        _ = Self.endsWithProcess
        Self.open.withLockedValue { $0[id] = directory.descriptor }
        try removeAbandoned()
    }

    deinit {
        Self.open.withLockedValue { $0[id] = nil }
        Self.removeLock(id, in: directory.descriptor)
    }

    /// The areas of this process by ID, with the descriptor of their directory.
    private static let open = NIOLockedValueBox<[String: Descriptor]>([:])

    /// A process may end while a task still holds a store: its lock file goes then, too.
    private static let endsWithProcess: Void = {
        CurrentProcess.atExit {
            StagingArea.open.withLockedValue { areas in
                for (id, directory) in areas { StagingArea.removeLock(id, in: directory) }
            }
        }
    }()

    /// One that cannot be removed now is removed when the store is opened next.
    private static func removeLock(_ id: String, in directory: Descriptor) {
        directory.removeIfPossible(id + lockSuffix)
    }

    private static func makeLock(in directory: OpenFile) throws -> (id: String, lock: OpenFile) {
        for _ in 0..<100 {
            let id = TemporaryName.unique("")
            let descriptor: Descriptor
            do throws(Errno) {
                descriptor = try directory.descriptor.open(
                    id + lockSuffix, [.readWrite, .createNew, .noFollow], mode: 0o666)
            } catch {
                if error == .alreadyExists { continue }
                throw CacheError.system("make a lock in \(name)", error)
            }
            let lock = OpenFile(adopting: descriptor, name: "\(name)/\(id)\(lockSuffix)")
            // One that is cleaning up may have taken it between these two calls, and have removed it.
            guard try FileLock.attempt(lock.descriptor, path: lock.name),
                try isNamed(id + lockSuffix, lock, in: directory)
            else { continue }
            return (id, lock)
        }
        throw CacheError(.conflict, "lock files in \(name) are removed as fast as they are made")
    }

    private static func isNamed(_ name: String, _ lock: OpenFile, in directory: OpenFile) throws -> Bool {
        let named: FileStatus
        do throws(Errno) { named = try directory.descriptor.status(of: name) } catch { return false }
        return try reporting("fstat") { () throws(Errno) in try lock.descriptor.status() }.identity == named.identity
    }

    private func removeAbandoned() throws {
        let entries = try directory.namedEntries()
        for entry in entries where entry.name.hasSuffix(Self.lockSuffix) && entry.name != id + Self.lockSuffix {
            let abandoned: OpenFile
            do throws(CacheError) {
                abandoned = try directory.openEntry(entry.name, .nonBlocking)
            } catch {
                // Gone: its owner has just closed its store. Not ours to open: another user's store.
                continue
            }
            guard try FileLock.attempt(abandoned.descriptor, path: abandoned.name) else { continue }
            let owner = entry.name.dropLast(Self.lockSuffix.count)
            for file in entries where file.name.hasPrefix(owner + ".") && file.name != entry.name {
                try remove(file.name)
            }
            try remove(entry.name)
        }
        // A lock file is there before and after the files of its ID, so files without one are left over.
        for entry in entries where !entry.name.hasSuffix(Self.lockSuffix) {
            if hasNoLock(entry.name.prefix { $0 != "." }) { try remove(entry.name) }
        }
    }

    private func hasNoLock(_ id: Substring) -> Bool {
        do throws(Errno) {
            _ = try directory.descriptor.status(of: id + Self.lockSuffix)
            return false
        } catch {
            return error == .noSuchFile
        }
    }

    private func remove(_ name: String) throws(CacheError) {
        do throws(Errno) {
            try directory.descriptor.remove(name)
        } catch {
            // The latter two are another user's, whose next push removes it.
            if [.noSuchFile, .permissionDenied, .notPermitted].contains(error) { return }
            throw CacheError.system("remove \(Self.name)/\(name)", error)
        }
    }

    /// Writes `body` to a new file and makes it durable, all but its name.
    func write(_ body: ByteBuffer) throws -> StagedFile {
        let name = "\(id).\(count.add(1, ordering: .relaxed).newValue)"
        let descriptor = try reporting("make a temporary file") { () throws(Errno) in
            try directories.withRoom { () throws(Errno) in
                try directory.descriptor.open(name, .newFile, mode: 0o666)
            }
        }
        let file = OpenFile(adopting: descriptor, name: name)
        let staged = StagedFile(name: name, area: directory)
        try body.withUnsafeReadableBytes { bytes in
            try reporting("write") { () throws(Errno) in try file.descriptor.writeAll(bytes) }
        }
        let status = try reporting("fstat") { () throws(Errno) in try file.descriptor.status() }
        guard status.size == body.readableBytes else {
            throw CacheError(.io, "the temporary file has not the size that was written")
        }
        try reporting("fsync") { () throws(Errno) in try file.descriptor.sync() }
        return staged
    }
}

/// A file that is written and durable but does not have its object's name yet. It is removed when this value goes.
struct StagedFile: ~Copyable {
    fileprivate let name: String
    fileprivate let area: OpenFile

    /// Gives it a name that nothing has yet; false if something has.
    func link(to name: String, in directory: Descriptor) throws(CacheError) -> Bool {
        do throws(Errno) {
            try area.descriptor.link(self.name, to: directory, name)
            return true
        } catch .alreadyExists {
            return false
        } catch {
            throw CacheError.system("link", error)
        }
    }

    /// Gives it a name, in place of what has it now.
    func rename(to name: String, in directory: Descriptor) throws(CacheError) {
        try reporting("rename") { () throws(Errno) in try area.descriptor.rename(self.name, to: directory, name) }
    }

    // After `rename` there is nothing to remove. What cannot be removed now is removed when the store is opened next.
    deinit { area.descriptor.removeIfPossible(name) }
}
