internal import CLinux
internal import Glibc

// What a file is like: its owner, mode, times and extended attributes.
extension Descriptor {
    package func setOwner(user: UInt32, group: UInt32) throws(Errno) {
        try retrying { fchown(rawValue, user, group) }
    }

    /// - Parameter mode: permission bits, with setuid, setgid and sticky.
    package func setMode(_ mode: UInt32) throws(Errno) {
        try retrying { fchmod(rawValue, mode) }
    }

    /// Sets the times of the last access and of the last change of the contents.
    package func setTimes(accessed: FileTime, modified: FileTime) throws(Errno) {
        try Self.withTimes(accessed, modified) { times throws(Errno) in
            try retrying { futimens(rawValue, times) }
        }
    }

    package func setAttribute(
        _ attribute: UnsafePointer<CChar>, _ value: UnsafeRawBufferPointer
    ) throws(Errno) {
        try retrying { fsetxattr(rawValue, attribute, value.baseAddress, value.count, 0) }
    }

    package func removeAttribute(_ attribute: UnsafePointer<CChar>) throws(Errno) {
        try retrying { fremovexattr(rawValue, attribute) }
    }

    // MARK: Of an entry of an open directory, never through a symbolic link

    package func setOwner(of name: UnsafePointer<CChar>, user: UInt32, group: UInt32) throws(Errno) {
        try retrying { fchownat(rawValue, name, user, group, AT_SYMLINK_NOFOLLOW) }
    }

    /// Must not be called for a symbolic link, which has no mode of its own: its target would get it.
    package func setMode(of name: UnsafePointer<CChar>, _ mode: UInt32) throws(Errno) {
        try retrying { fchmodat(rawValue, name, mode, 0) }
    }

    package func setTimes(
        of name: UnsafePointer<CChar>, accessed: FileTime, modified: FileTime
    ) throws(Errno) {
        try Self.withTimes(accessed, modified) { times throws(Errno) in
            try retrying { utimensat(rawValue, name, times, AT_SYMLINK_NOFOLLOW) }
        }
    }

    /// Sets an attribute of an entry that cannot be opened. There is no call for that which takes a directory and a
    /// name before Linux 6.13; older ones are told by way of /proc.
    package func setAttribute(
        of name: UnsafePointer<CChar>, _ attribute: UnsafePointer<CChar>, _ value: UnsafeRawBufferPointer
    ) throws(Errno) {
        let result = pathByProc(of: name).withCString { path in
            lsetxattr(path, attribute, value.baseAddress, value.count, 0)
        }
        if result == 0 { return }
        let error = Errno.current
        guard [.noSuchFile, .notDirectory, .nameTooLong].contains(error) else { throw error }
        try retrying { layercache_lsetxattrat(rawValue, name, attribute, value.baseAddress, value.count) }
    }

    /// A path of an entry for calls that take no open directory.
    func pathByProc(of name: UnsafePointer<CChar>) -> FileName {
        FileName(bytes: Array("/proc/self/fd/\(rawValue)/".utf8) + FileName(cString: name).bytes)
    }

    private static func withTimes(
        _ accessed: FileTime, _ modified: FileTime, _ body: (UnsafePointer<timespec>) throws(Errno) -> Void
    ) throws(Errno) {
        try withUnsafeTemporaryAllocation(of: timespec.self, capacity: 2) { times throws(Errno) in
            times[0] = timespec(tv_sec: accessed.seconds, tv_nsec: accessed.nanoseconds)
            times[1] = timespec(tv_sec: modified.seconds, tv_nsec: modified.nanoseconds)
            try body(UnsafePointer(times.baseAddress.unsafelyUnwrapped))
        }
    }
}
