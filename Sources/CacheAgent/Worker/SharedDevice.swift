internal import CacheClient

/// The device of one image, open once for all mounts of it.
struct SharedDevice {
    /// Of its file.
    let number: UInt64
    /// Mounts that show it, those under way included.
    var uses = 0
    /// Ends with the open device.
    let opening: Task<any WorkerDevice, any Error>
    /// Once it is open, and on the shelf.
    var device: (any WorkerDevice)?
}

/// A directory that this worker has, and what happens to it.
struct Mount {
    enum Phase {
        /// Its image is being opened; the kernel knows nothing of it yet.
        case opening
        case mounting
        case mounted
        case unmounting
    }

    let ref: String
    /// What the table has of it, from ``Phase/mounting`` on.
    var record: MountRecord?
    var phase = Phase.opening
}

/// What the file of a device is called.
enum DeviceName {
    /// Says which image it is, and is never used again: numbers are not.
    static func of(_ manifest: String, _ number: UInt64) -> String { "\(manifest.prefix(16))-\(number)" }
}
