internal import CLMDB
internal import CacheFiles
internal import Glibc
internal import NIOConcurrencyHelpers
internal import Synchronization

/// Finds out, with `fstat`, whether another program has truncated, replaced or overwritten the files of an open environment. LMDB maps them
/// and trusts them: reading beyond the end of a truncated file ends the process, an overwritten page leads LMDB astray.
///
/// Called before each transaction: two calls of `fstat`, about 0.3 us.
final class FileWatch: Sendable {
    /// The times of the data file. They change with every write, so they differ from those after our last commit if another program wrote.
    private struct Stamp: Equatable {
        let modified: timespec
        let changed: timespec

        static func == (left: Stamp, right: Stamp) -> Bool {
            left.modified.tv_sec == right.modified.tv_sec && left.modified.tv_nsec == right.modified.tv_nsec
                && left.changed.tv_sec == right.changed.tv_sec && left.changed.tv_nsec == right.changed.tv_nsec
        }
    }

    /// LMDB's own descriptor, which is not ours to close.
    private let data: Int32
    private let lock: OwnedDescriptor
    private let lockBytes: Int64
    private let longest = Atomic<Int64>(0)
    /// The number and the stamp of the last commit of this process; `nil` before the first. For the writer's thread.
    private let last = NIOLockedValueBox<(transaction: Int, stamp: Stamp)?>(nil)

    /// To be made while the environment is open, and freed after it is closed: closing any descriptor of `lock.mdb` releases LMDB's locks in it.
    init(_ directory: String, data: Int32) throws(LMDBFailure) {
        let descriptor = open("\(directory)/lock.mdb", O_RDWR | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw LMDBFailure(code: errno, call: "open lock.mdb") }
        self.data = data
        lock = OwnedDescriptor(descriptor)
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw LMDBFailure(code: errno, call: "fstat lock.mdb") }
        lockBytes = Int64(status.st_size)
        _ = try check()
    }

    /// Bytes of the data file that can be read through the map.
    func check() throws(LMDBFailure) -> Int {
        // In this order: between the two the file may grow, and another thread note that.
        let before = longest.load(ordering: .acquiring)
        let length = Int64(try status().st_size)
        guard length >= before else { throw LMDBFailure(code: MDB_CORRUPTED, call: "data.mdb was cut off") }
        if length > before { longest.max(length, ordering: .releasing) }
        var lockStatus = stat()
        guard fstat(lock.number, &lockStatus) == 0, Int64(lockStatus.st_size) >= lockBytes else {
            // LMDB looks into it once more when it closes its files, and a map without a file ends the process.
            _ = ftruncate(lock.number, off_t(lockBytes))
            throw LMDBFailure(code: MDB_CORRUPTED, call: "lock.mdb was cut off")
        }
        return Int(length)
    }

    /// Where LMDB has mapped `lock.mdb`, which it does not tell: found by the file's device and number in the kernel's list; empty if
    /// that cannot be read, or names another device, as some layered file systems do.
    func lockRegion() throws(LMDBFailure) -> MapGuard.Region {
        var status = stat()
        guard fstat(lock.number, &status) == 0 else { throw LMDBFailure(code: errno, call: "fstat lock.mdb") }
        let device = status.st_dev
        let major = UInt32(truncatingIfNeeded: (device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF))
        let minor = UInt32(truncatingIfNeeded: (device & 0xFF) | (device >> 12 & ~0xFF))
        var region = MapGuard.Region(start: 0, bytes: 0)
        guard let maps = fopen("/proc/self/maps", "re") else { return region }
        defer { fclose(maps) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        while getline(&line, &room, maps) > 0, let text = line.map({ String(cString: $0) }) {
            // start-end rights offset device inode path. Numbers of files begin anew on each tmpfs.
            let fields = text.split(maxSplits: 5, whereSeparator: \.isWhitespace)
            guard fields.count == 6, fields[4] == "\(status.st_ino)", fields[5].contains("/lock.mdb"),
                fields[3].split(separator: ":").map({ UInt32($0, radix: 16) }) == [major, minor]
            else { continue }
            let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            if ends.count == 2, ends[0] < ends[1] { region = MapGuard.Region(start: ends[0], bytes: ends[1] - ends[0]) }
        }
        return region
    }

    /// Whether another program has written to the data file since `transaction`, the last commit. False if that commit is not this process's:
    /// then another process that shares the store has made it, and its stamp is not known here.
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

    private func status() throws(LMDBFailure) -> stat {
        var status = stat()
        guard fstat(data, &status) == 0 else { throw LMDBFailure(code: errno, call: "fstat data.mdb") }
        // The file has no name any more: no process can open it, and what is stored is lost at the next start.
        guard status.st_nlink > 0 else {
            throw LMDBFailure(code: MDB_CORRUPTED, call: "data.mdb was replaced or removed")
        }
        return status
    }

    private static func stamp(_ status: stat) -> Stamp { Stamp(modified: status.st_mtim, changed: status.st_ctim) }
}
