package import CacheBase
internal import Glibc

/// The kernel's end of FUSE, `/dev/fuse` (fuse(4)): each opening is a connection that a mount is made of.
package enum FuseDevice {
    /// Opens a connection that does not block, and mounts it. The kernel's first request, INIT, waits in it.
    ///
    /// - Parameters:
    ///   - target: a directory.
    ///   - source: what tables of mounts call it.
    ///   - subtype: what the kind of filesystem is called after `fuse.`.
    ///   - readBytes: the most that one READ asks for.
    /// - Throws: `.io` if the kernel has no FUSE or this process may not mount.
    package static func mount(
        at target: String, source: String, subtype: String, readBytes: Int
    ) throws(CacheError) -> OpenFile {
        let file = try open()
        let options = [
            "fd=\(file.descriptor.rawValue)", "rootmode=40000", "user_id=\(geteuid())", "group_id=\(getegid())",
            // Modes decide who reads, as anywhere else; without the second, root of another group would be a stranger.
            "default_permissions", "allow_other", "max_read=\(readBytes)",
        ]
        try reporting("mount FUSE at \(target)") { () throws(Errno) in
            try SystemMount.mount(
                source: source, target: target, type: "fuse.\(subtype)",
                flags: [.readOnly, .noSetUserID, .noDevices, .noExecution], data: options.joined(separator: ","))
        }
        return file
    }

    /// A further descriptor of a connection, with a list of its own for requests that wait for answers. What was read
    /// from a descriptor is answered there, and fails when its last copy is closed.
    package static func clone(_ connection: OpenFile) throws(CacheError) -> OpenFile {
        let file = try OpenFile.open(path, [.readWrite, .nonBlocking])
        try reporting("clone \(connection.name)") { () throws(Errno) in
            var number = UInt32(bitPattern: connection.descriptor.rawValue)
            try retrying { ioctl(file.descriptor.rawValue, cloneRequest, &number) }
        }
        return file
    }

    private static func open() throws(CacheError) -> OpenFile {
        do {
            return try OpenFile.open(path, [.readWrite, .nonBlocking])
        } catch {
            guard FileStatus.find(path) == nil else { throw error }
            throw CacheError(
                .unsupported, "there is no \(path): load the module (modprobe fuse), or give the container the device")
        }
    }

    private static let path = "/dev/fuse"
    /// FUSE_DEV_IOC_CLONE: _IOR(229, 0, uint32_t), which Swift does not see.
    private static let cloneRequest: UInt = 0x8004_E500
}
