package import CacheBase
internal import Glibc

/// What the system tells of a file of a store, as far as the store needs it.
package struct FileStatus {
    package enum Kind { case regular, directory, other }

    package let kind: Kind
    package let size: Int
    /// When its status changed last (a new name is a change), in nanoseconds since 1970.
    package let changed: Int64
    package let identity: Identity
    /// Who may do what with it.
    package let permissions: UInt32

    /// Two files with the same one are one file.
    package struct Identity: Equatable {
        let device: UInt64
        let inode: UInt64
    }

    private init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            default: .other
            }
        size = Int(status.st_size)
        changed = FileTime.nanoseconds(status.st_ctim)
        identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        permissions = UInt32(status.st_mode & 0o7777)
    }

    /// The status of an open file; throws with `errno` in words.
    package init(of descriptor: borrowing OwnedDescriptor) throws {
        var status = stat()
        guard fstat(descriptor.number, &status) == 0 else { throw CacheError.system("fstat") }
        self.init(status)
    }

    /// The status of `name` itself, not of what it may point to; `nil` with `errno` set if there is none.
    package init?(of name: String, in directory: OwnedDescriptor) {
        var status = stat()
        guard fstatat(directory.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { return nil }
        self.init(status)
    }

    /// As above, for a path; links are followed.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }
}

extension CacheError {
    /// Something that no store has put where it is.
    package static func foreign(_ path: some StringProtocol) -> CacheError {
        CacheError(
            .io,
            "\(path) is a symbolic link or a special file, which a file store never follows: move it out of the store")
    }
}
