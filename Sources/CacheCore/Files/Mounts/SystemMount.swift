package import CacheBase
internal import Glibc

/// Mounting and unmounting, `mount(2)` and `umount2(2)`, in the mount namespace of the calling thread.
///
/// Both need `CAP_SYS_ADMIN`, and neither goes through `mount(8)`, which makes a loop device where a file is mounted.
package enum SystemMount {
    /// How a filesystem is mounted; the raw value is that of `MS_RDONLY` and the like.
    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt

        package init(rawValue: UInt) { self.rawValue = rawValue }

        package static let readOnly = Flags(rawValue: 1)
        package static let noSetUserID = Flags(rawValue: 2)
        package static let noDevices = Flags(rawValue: 4)
        package static let noExecution = Flags(rawValue: 8)
        /// Changes the flags of what is mounted there.
        package static let remount = Flags(rawValue: 32)
        package static let noAccessTimes = Flags(rawValue: 1024)
        /// Shows a directory or file at a further place.
        package static let bind = Flags(rawValue: 4096)
        /// What is mounted or unmounted below stays in this namespace.
        package static let isPrivate = Flags(rawValue: 1 << 18)
    }

    /// How a filesystem is unmounted.
    package struct UnmountFlags: OptionSet, Sendable {
        package let rawValue: Int32

        package init(rawValue: Int32) { self.rawValue = rawValue }

        /// Cuts off what hangs in requests, as far as the filesystem can do that: FUSE ends its connection.
        package static let force = UnmountFlags(rawValue: 1)
        /// Takes it out of the tree at once, and ends it when its last user has gone.
        package static let detach = UnmountFlags(rawValue: 2)
        /// A symbolic link as the last name is an error.
        package static let noFollow = UnmountFlags(rawValue: 8)
    }

    /// Mounts a filesystem. Blocks for as long as that filesystem reads its superblock.
    ///
    /// - Parameters:
    ///   - source: a file, a device or a directory; any name for filesystems that have none.
    ///   - data: options of the filesystem, separated by commas.
    package static func mount(
        source: String, target: String, type: String, flags: Flags = [], data: String = ""
    ) throws(Errno) {
        try retrying { Glibc.mount(source, target, type, flags.rawValue, data) }
    }

    /// Unmounts what is mounted at `target`, the topmost of several.
    package static func unmount(_ target: String, flags: UnmountFlags = []) throws(Errno) {
        try retrying { umount2(target, flags.rawValue) }
    }

    /// All mounts of the thread's namespace, in the order in which they hide one another: of two with one target the
    /// later one is seen.
    ///
    /// - Throws: `.io` if it cannot be read, `.limitExceeded` for more than 64 MiB of it.
    package static func table() throws(CacheError) -> [MountEntry] {
        let file = try OpenFile.open("/proc/thread-self/mountinfo")
        var text: [UInt8] = []
        var count = 0
        repeat {
            guard text.count <= mostTableBytes else {
                throw CacheError(.limitExceeded, "\(file.name) has more than \(mostTableBytes) bytes")
            }
            count = try reporting("read \(file.name)") { () throws(Errno) in
                try withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { buffer throws(Errno) in
                    let count = try file.descriptor.read(into: buffer)
                    text.append(contentsOf: buffer[..<count])
                    return count
                }
            }
        } while count > 0
        return text.split(separator: UInt8(ascii: "\n")).compactMap { MountEntry(line: $0) }
    }

    private static let mostTableBytes = 64 << 20

    /// What is seen at `path`, which must be written as the kernel has it: absolute, with no symbolic link in it;
    /// `nil` where nothing is mounted.
    package static func entry(at path: String) throws(CacheError) -> MountEntry? {
        let target = FileName(path)
        return try table().last { $0.target == target }
    }
}
