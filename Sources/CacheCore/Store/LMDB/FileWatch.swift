internal import CLMDB
internal import CacheFiles
internal import NIOConcurrencyHelpers
internal import Synchronization

/// Finds out, with `fstat`, whether another program has truncated, replaced or overwritten the files of an open
/// environment. LMDB maps them and trusts them: reading beyond the end of a truncated file ends the process, an
/// overwritten page leads LMDB astray.
///
/// Called before each transaction: two calls of `fstat`, about 0.3 us.
final class FileWatch: Sendable {
    /// The times of the data file. They change with every write, so they differ from those after our last commit if
    /// another program wrote.
    private struct Stamp: Equatable {
        let modified: FileTime
        let changed: FileTime
    }

    /// LMDB's own.
    private let data: Descriptor
    private let lock: OpenFile
    private let lockBytes: Int64
    private let longest = Atomic<Int64>(0)
    /// The number and the stamp of the last commit of this process; `nil` before the first. For the writer's thread.
    private let last = NIOLockedValueBox<(transaction: Int, stamp: Stamp)?>(nil)

    /// To be made while the environment is open, and let go after it is closed: closing a descriptor of `lock.mdb`
    /// gives up LMDB's locks in it.
    init(_ directory: String, data: Descriptor) throws(LMDBFailure) {
        let name = "\(directory)/lock.mdb"
        do throws(Errno) {
            let descriptor = try Descriptor.workingDirectory.open(name, [.readWrite, .noFollow])
            lock = OpenFile(adopting: descriptor, name: name)
        } catch {
            throw LMDBFailure(code: error.rawValue, call: "open lock.mdb")
        }
        self.data = data
        lockBytes = Int64(try Self.status(of: lock.descriptor, "fstat lock.mdb").size)
        _ = try check()
    }

    /// Bytes of the data file that can be read through the map.
    func check() throws(LMDBFailure) -> Int {
        // In this order: between the two the file may grow, and another thread note that.
        let before = longest.load(ordering: .acquiring)
        let length = Int64(try status().size)
        guard length >= before else { throw LMDBFailure(code: MDB_CORRUPTED, call: "data.mdb was cut off") }
        if length > before { longest.max(length, ordering: .releasing) }
        guard isLockWhole else {
            // LMDB looks into it once more when it closes its files, and a map without a file ends the process. If this
            // fails, so be it.
            do throws(Errno) { try lock.descriptor.truncate(to: Int(lockBytes)) } catch {}
            throw LMDBFailure(code: MDB_CORRUPTED, call: "lock.mdb was cut off")
        }
        return Int(length)
    }

    /// Where LMDB has mapped `lock.mdb`, which it does not tell; empty if that cannot be found out.
    func lockRegion() throws(LMDBFailure) -> MapGuard.Region {
        let identity = try Self.status(of: lock.descriptor, "fstat lock.mdb").identity
        return MappedMemory.region(of: identity, pathWith: "/lock.mdb") ?? MapGuard.Region(start: 0, bytes: 0)
    }

    /// Whether another program has written to the data file since `transaction`, the last commit. False if that commit
    /// is not this process's: then another process that shares the store has made it, and its stamp is not known here.
    func isForeign(after transaction: Int) throws(LMDBFailure) -> Bool {
        let now = Self.stamp(try status())
        return last.withLockedValue { last in
            guard let last, last.transaction == transaction else { return false }
            return last.stamp != now
        }
    }

    /// Remembers the file's stamp as the one that the commit `transaction` has left.
    func note(_ transaction: Int) {
        guard let now = try? status() else { return }
        last.withLockedValue { $0 = (transaction, Self.stamp(now)) }
    }

    private var isLockWhole: Bool {
        do throws(Errno) { return Int64(try lock.descriptor.status().size) >= lockBytes } catch { return false }
    }

    private static func status(of file: Descriptor, _ call: StaticString) throws(LMDBFailure) -> FileStatus {
        do throws(Errno) { return try file.status() } catch { throw LMDBFailure(code: error.rawValue, call: call) }
    }

    private func status() throws(LMDBFailure) -> FileStatus {
        let status = try Self.status(of: data, "fstat data.mdb")
        // The file was removed: it cannot be opened again, and what is stored is lost at the next start.
        guard status.linkCount > 0 else {
            throw LMDBFailure(code: MDB_CORRUPTED, call: "data.mdb was replaced or removed")
        }
        return status
    }

    private static func stamp(_ status: FileStatus) -> Stamp {
        Stamp(modified: status.modified, changed: status.changed)
    }
}
