package import CacheCore
internal import CacheDevice
package import CacheFiles

extension WorkerPlace {
    /// Descriptors of the FUSE connection: a thread that has one of its own does not share a list of pending requests.
    private static let connections = 2

    /// Mounts the filesystem of the devices; nobody answers yet.
    ///
    /// - Returns: its descriptors.
    /// - Throws: `.io` without /dev/fuse or without the right to mount; nothing is left mounted then.
    package func mountDevices() throws(CacheError) -> [OpenFile] {
        try DirectoryPath.make(devices, mode: 0o700, isDurable: false)
        let first = try FuseFilesystem.mount(at: devices)
        var connection = [first]
        do throws(CacheError) {
            while connection.count < Self.connections { connection.append(try FuseFilesystem.clone(first)) }
        } catch {
            unmountDevices()
            throw error
        }
        return connection
    }

    /// Takes it back, where no process has ever served.
    package func unmountDevices() {
        // It is there, and empty.
        try? SystemMount.unmount(devices, flags: [.detach, .noFollow])
    }
}
