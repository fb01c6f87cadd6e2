internal import CLinux
internal import Glibc

// What is done to the entries of an open directory. A symbolic link in the place of the entry itself is followed only
// by ``open(_:_:mode:)`` without ``OpenFlags/noFollow`` and by ``status(of:followingLinks:)`` if it is asked to.
extension Descriptor {
    /// Opens an entry; a symbolic link is followed unless `flags` say otherwise.
    /// - Parameter mode: of a file that is made here, before the umask.
    package func open(
        _ name: UnsafePointer<CChar>, _ flags: OpenFlags, mode: UInt32 = 0
    ) throws(Errno) -> Descriptor {
        Descriptor(rawValue: try retrying { openat(rawValue, name, flags.rawValue | O_CLOEXEC, mode) })
    }

    /// What an entry is.
    package func status(
        of name: UnsafePointer<CChar>, followingLinks: Bool = false
    ) throws(Errno) -> FileStatus {
        var status = stat()
        try retrying { fstatat(rawValue, name, &status, followingLinks ? 0 : AT_SYMLINK_NOFOLLOW) }
        return FileStatus(status)
    }

    package func makeDirectory(_ name: UnsafePointer<CChar>, mode: UInt32) throws(Errno) {
        try retrying { mkdirat(rawValue, name, mode) }
    }

    package func makeSymbolicLink(_ name: UnsafePointer<CChar>, to target: UnsafePointer<CChar>) throws(Errno) {
        try retrying { symlinkat(target, rawValue, name) }
    }

    /// Makes a device or a named pipe.
    ///
    /// - Parameter device: major and minor number; of each as many bits as the kernel has for it: glibc refuses more,
    ///   container runtimes cut them off.
    package func makeNode(
        _ name: UnsafePointer<CChar>, _ kind: FileStatus.Kind, mode: UInt32, device: (major: UInt32, minor: UInt32)
    ) throws(Errno) {
        let number = gnu_dev_makedev(device.major & 0xFFF, device.minor & 0xF_FFFF)
        try retrying { mknodat(rawValue, name, kind.rawValue | mode, number) }
    }

    /// Gives an entry a further name, in this or another directory; fails if that name is taken.
    package func link(
        _ name: UnsafePointer<CChar>, to directory: Descriptor, _ newName: UnsafePointer<CChar>
    ) throws(Errno) {
        try retrying { linkat(rawValue, name, directory.rawValue, newName, 0) }
    }

    /// Gives an entry another name, in this or another directory, in place of what has that name, in one step.
    package func rename(
        _ name: UnsafePointer<CChar>, to directory: Descriptor, _ newName: UnsafePointer<CChar>
    ) throws(Errno) {
        try retrying { renameat(rawValue, name, directory.rawValue, newName) }
    }

    /// Removes a name of anything but a directory.
    package func remove(_ name: UnsafePointer<CChar>) throws(Errno) {
        try retrying { unlinkat(rawValue, name, 0) }
    }

    /// The same for what does no harm if it stays: an error is not told.
    package func removeIfPossible(_ name: UnsafePointer<CChar>) {
        do throws(Errno) { try remove(name) } catch {}
    }

    /// Removes an empty directory.
    package func removeDirectory(_ name: UnsafePointer<CChar>) throws(Errno) {
        try retrying { unlinkat(rawValue, name, AT_REMOVEDIR) }
    }

    /// Where a symbolic link points to.
    package func target(ofLink name: UnsafePointer<CChar>) throws(Errno) -> FileName {
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(PATH_MAX)) { buffer throws(Errno) in
            let count = try retrying { readlinkat(rawValue, name, buffer.baseAddress.unsafelyUnwrapped, buffer.count) }
            return FileName(bytes: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))
        }
    }
}

// The same for names that are not C strings yet.
extension Descriptor {
    package func open(_ name: FileName, _ flags: OpenFlags) throws(Errno) -> Descriptor {
        try name.withCString { name throws(Errno) in try open(name, flags) }
    }

    package func status(of name: FileName) throws(Errno) -> FileStatus {
        try name.withCString { name throws(Errno) in try status(of: name) }
    }

    package func rename(_ name: FileName, to directory: Descriptor, _ newName: FileName) throws(Errno) {
        try name.withCString { name throws(Errno) in
            try newName.withCString { newName throws(Errno) in try rename(name, to: directory, newName) }
        }
    }

    package func remove(_ name: FileName) throws(Errno) {
        try name.withCString { name throws(Errno) in try remove(name) }
    }

    package func removeDirectory(_ name: FileName) throws(Errno) {
        try name.withCString { name throws(Errno) in try removeDirectory(name) }
    }

    package func target(ofLink name: FileName) throws(Errno) -> FileName {
        try name.withCString { name throws(Errno) in try target(ofLink: name) }
    }
}
