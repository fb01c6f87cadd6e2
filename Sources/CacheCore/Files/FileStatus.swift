internal import CLinux
package import CacheBase
internal import Glibc

/// What the system tells of a file, `stat(2)`.
package struct FileStatus: Sendable {
    /// What a file is. The raw value is the part of `st_mode` that says so.
    package enum Kind: UInt32, Sendable {
        case regular = 0o100000
        case directory = 0o040000
        case symbolicLink = 0o120000
        case characterDevice = 0o020000
        case blockDevice = 0o060000
        case fifo = 0o010000
        case socket = 0o140000
        /// Nothing that Linux has.
        case unknown = 0

        /// - Parameter mode: as `st_mode` is made up, with permission bits.
        package init(ofMode mode: UInt32) { self = Kind(rawValue: mode & S_IFMT) ?? .unknown }
    }

    /// Two files with the same one are one file.
    package struct Identity: Hashable, Sendable {
        let device: UInt64
        let inode: UInt64
    }

    private let status: stat

    init(_ status: stat) { self.status = status }

    package var kind: Kind { Kind(ofMode: status.st_mode) }
    /// In bytes.
    package var size: Int { Int(status.st_size) }
    /// Who may do what with it: nine bits, and setuid, setgid and sticky.
    package var permissions: UInt32 { status.st_mode & 0o7777 }
    /// The numbers of its owner and group.
    package var userID: UInt32 { status.st_uid }
    package var groupID: UInt32 { status.st_gid }
    /// Whether it belongs to the user that this process acts for, or that user is root, to whom every file might.
    package var isOurs: Bool { geteuid() == 0 || userID == geteuid() }
    /// How many names it has; 0 once it was removed.
    package var linkCount: Int { Int(status.st_nlink) }
    package var identity: Identity { Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)) }
    /// When its contents changed last.
    package var modified: FileTime { FileTime(status.st_mtim) }
    /// When its status changed last; a new name is a change.
    package var changed: FileTime { FileTime(status.st_ctim) }
    /// Of a device: which one it is.
    package var deviceMajor: Int { Int(gnu_dev_major(status.st_rdev)) }
    package var deviceMinor: Int { Int(gnu_dev_minor(status.st_rdev)) }

    /// As far as size and time of the last change show it.
    package func hasSameContents(as before: FileStatus, sizeOnly: Bool = false) -> Bool {
        size == before.size && (sizeOnly || modified == before.modified)
    }

    /// Of `path`, links followed; `nil` where there is nothing, or where it cannot be found out.
    package static func find(_ path: String) -> FileStatus? {
        do throws(Errno) {
            return try Descriptor.workingDirectory.status(of: path, followingLinks: true)
        } catch {
            return nil
        }
    }
}

extension FileTime {
    init(_ time: timespec) { self.init(seconds: time.tv_sec, nanoseconds: time.tv_nsec) }
}

extension CacheError {
    /// There is something in a store that cannot be an object, and that no store makes.
    package static func foreign(_ path: some StringProtocol) -> CacheError {
        CacheError(
            .io,
            "\(path) is a symbolic link or a special file, which a file store never follows: move it out of the store")
    }
}
