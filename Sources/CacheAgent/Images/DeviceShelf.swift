package import CacheClient
package import CacheDevice
internal import NIOPosix

/// The one FUSE filesystem of a host, in which each open device is a file.
package protocol DeviceShelf: Sendable {
    /// Shows a device; requests that waited for its number are answered.
    func insert(_ device: any BlockDevice, name: String, number: UInt64) throws
    /// Has requests for a number wait until its device is there.
    func expect(_ number: UInt64, name: String, byteCount: UInt64) throws
    /// Takes a device away; what is read of it from now on fails.
    func remove(_ number: UInt64) async throws
}

/// The kernel's FUSE.
package struct FuseShelf: DeviceShelf {
    private let fuse: FuseFilesystem

    package init(_ fuse: FuseFilesystem) { self.fuse = fuse }

    package func insert(_ device: any BlockDevice, name: String, number: UInt64) throws {
        try fuse.insert(device, name: name, number: number)
    }

    package func expect(_ number: UInt64, name: String, byteCount: UInt64) throws {
        try fuse.expect(number, name: name, byteCount: byteCount)
    }

    /// On a thread that may block: the kernel may be looking names up.
    package func remove(_ number: UInt64) async throws {
        try await NIOThreadPool.singleton.runIfActive { [fuse] in try fuse.remove(number) }
    }
}
