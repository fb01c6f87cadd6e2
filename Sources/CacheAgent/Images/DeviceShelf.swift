package import CacheClient

/// The one FUSE filesystem of a host, in which each open device is a file.
package protocol DeviceShelf: Sendable {
    /// Shows a device; requests that waited for its number are answered.
    func insert(_ device: any BlockDevice, name: String, number: UInt64) throws
    /// Has requests for a number wait until its device is there.
    func expect(_ number: UInt64, name: String, byteCount: UInt64) throws
    /// Takes a device away; what is read of it from now on fails.
    func remove(_ number: UInt64) async throws
}
