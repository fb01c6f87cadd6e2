package import CacheCore
internal import CacheFiles

/// The mounts of the thread's namespace that stand on the devices of one place.
package struct MountedImages: Sendable {
    private let entries: [MountEntry]
    /// Directories with a slash at their end.
    private let devices: String
    private let scratch: String

    /// Reads the kernel's table.
    ///
    /// - Parameters:
    ///   - devices: the directory of the devices' files.
    ///   - scratch: the directory that has those of mounts that can be written to.
    package init(devices: String, scratch: String) throws(CacheError) {
        entries = try SystemMount.table()
        self.devices = devices + "/"
        self.scratch = scratch + "/"
    }

    /// Where they are, those on top first; what they need to be writable included.
    package var targets: [String] {
        entries.reversed().filter(isOurs).map(\.target.description)
    }

    /// Whether what is seen at `directory` is one of them.
    package func has(_ directory: String) -> Bool {
        let target = FileName(directory)
        return entries.last { $0.target == target }.map(isOurs) ?? false
    }

    private func isOurs(_ entry: MountEntry) -> Bool {
        let source = entry.source.description
        return switch entry.type {
        case "erofs": source.hasPrefix(devices) || LoopDevice.backingFile(of: source)?.hasPrefix(devices) == true
        case "overlay": source.hasPrefix(scratch)
        default: false
        }
    }
}
