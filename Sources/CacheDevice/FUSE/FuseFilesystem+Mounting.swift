package import CacheCore
package import CacheFiles

extension FuseFilesystem {
    /// Mounts the filesystem, without anybody who answers: whoever looks into the directory waits until one is started.
    ///
    /// Only root sees what is in it. The mount stays when the process ends; the connection ends with its last
    /// descriptor.
    ///
    /// - Parameter directory: an absolute path.
    /// - Returns: the connection.
    package static func mount(at directory: String) throws(CacheError) -> OpenFile {
        try FuseDevice.mount(
            at: directory, source: "layercache", subtype: "layercache", readBytes: FuseLimits.readBytes)
    }

    /// A further descriptor of the connection, so that threads do not share a list of pending requests.
    package static func clone(_ connection: OpenFile) throws(CacheError) -> OpenFile {
        try FuseDevice.clone(connection)
    }
}
