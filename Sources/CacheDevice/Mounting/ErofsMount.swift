internal import CacheCore
internal import CacheFiles

/// EROFS on the file of a device.
///
/// The calls block for as long as the kernel reads the superblock, and read through whoever serves the device.
enum ErofsMount {
    /// What the kernel reads ahead in a file of the image, in KiB, where it is told: half more throughput than with its
    /// own 128. Who announces a sequential read (POSIX_FADV_SEQUENTIAL) gets twice as much, which must not exceed one
    /// request of FUSE (docs/decisions, "FUSE").
    private static let readAheadKiB = 512
    private static let backingDevices = "/sys/class/bdi"
    /// As the kernel names those of EROFS on a file; on a device, EROFS shares that of the device.
    private static let backingDevicePrefix = "erofs-"

    /// Mounts `device` at `target`, without device nodes: an image must not hand out the host's disks.
    ///
    /// On the file itself where the kernel can do that (Linux 6.12), else by a loop device, which goes with the mount.
    static func mount(_ device: String, at target: String) throws(CacheError) {
        let before = backingDeviceNames()
        do throws(Errno) {
            try attach(device, at: target)
        } catch {
            switch error {
            case .noDevice:
                throw CacheError(.unsupported, "this kernel has no EROFS: load it (modprobe erofs) or use another one")
            case .blockDeviceNeeded, .badArgument:
                // A kernel that wants a block device says the one or the other; the image may be at fault as well,
                // which the loop device shows.
                try mountByLoop(device, at: target)
            default:
                throw CacheError.system("mount the image at \(target)", error)
            }
        }
        for name in backingDeviceNames().subtracting(before) { readFurtherAhead(name) }
    }

    private static func attach(_ source: String, at target: String) throws(Errno) {
        try SystemMount.mount(
            source: source, target: target, type: "erofs", flags: [.readOnly, .noDevices, .noAccessTimes])
    }

    /// For kernels that mount EROFS from devices only.
    static func mountByLoop(_ device: String, at target: String) throws(CacheError) {
        let loop = try LoopDevice(reading: device)
        try reporting("mount the image at \(target)") { () throws(Errno) in try attach(loop.path, at: target) }
        readFurtherAhead("\(loop.deviceNumber)")
    }

    private static func backingDeviceNames() -> Set<String> {
        guard let directory = try? OpenFile.open(backingDevices, .directory),
            let names = try? directory.entryNames(atMost: 65_536)
        else { return [] }
        return Set(names.map(\.description).filter { $0.hasPrefix(backingDevicePrefix) })
    }

    /// Best effort: /sys may be read-only, as it is in containers, and reads are right without it.
    private static func readFurtherAhead(_ name: String) {
        guard let file = try? OpenFile.open("\(backingDevices)/\(name)/read_ahead_kb", .writeOnly) else { return }
        try? Array("\(readAheadKiB)".utf8).withUnsafeBytes { try file.descriptor.writeAll($0) }
    }
}
