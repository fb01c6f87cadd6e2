internal import CLinux
package import CacheBase
internal import Glibc

/// A file as a block device, `loop(4)`: for kernels that mount EROFS from devices only.
package struct LoopDevice: ~Copyable {
    /// `/dev/loopN`.
    package let path: String
    /// As `/sys/class/bdi` names it, `major:minor`.
    package let deviceNumber: String
    private let file: OpenFile

    /// How many free devices others may take first, between the question for one and its use.
    private static let attempts = 64

    /// Binds a free device to `path`, for reading alone. It is unbound when this value and all mounts of it are gone
    /// (`LO_FLAGS_AUTOCLEAR`).
    package init(reading path: String) throws(CacheError) {
        let source = try OpenFile.open(path)
        let control = try OpenFile.open("/dev/loop-control", .readWrite)
        for _ in 0..<Self.attempts {
            let number = try reporting("find a free loop device") { () throws(Errno) in
                try retrying { ioctl(control.descriptor.rawValue, UInt(LOOP_CTL_GET_FREE)) }
            }
            let name = "/dev/loop\(number)"
            let device = try OpenFile.open(name)
            var configuration = loop_config()
            configuration.fd = UInt32(source.descriptor.rawValue)
            configuration.block_size = 4096
            configuration.info.lo_flags = UInt32(LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR)
            do throws(Errno) {
                try retrying { ioctl(device.descriptor.rawValue, UInt(LOOP_CONFIGURE), &configuration) }
            } catch {
                if error == .busy { continue }
                throw CacheError.system("bind \(name) to \(path)", error)
            }
            let status = try device.status()
            deviceNumber = "\(status.deviceMajor):\(status.deviceMinor)"
            self.path = name
            file = device
            return
        }
        throw CacheError(.conflict, "others take each free loop device at once: \(path) is not bound to one")
    }

    /// The file that a loop device is bound to; `nil` for any other path, or where that cannot be found out.
    package static func backingFile(of path: String) -> String? {
        guard path.hasPrefix("/dev/loop"), let name = path.split(separator: "/").last,
            let file = try? OpenFile.open("/sys/block/\(name)/loop/backing_file")
        else { return nil }
        let text = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer -> String? in
            guard let count = try? file.descriptor.read(into: buffer) else { return nil }
            return String(validating: buffer[..<count], as: UTF8.self)
        }
        return text.map { $0.hasSuffix("\n") ? String($0.dropLast()) : $0 }
    }
}
