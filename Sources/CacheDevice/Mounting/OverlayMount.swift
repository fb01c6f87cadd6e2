internal import CacheCore
internal import CacheFiles

/// A directory that can be written to above one that cannot, overlayfs.
enum OverlayMount {
    /// - Parameters:
    ///   - source: what the kernel's table calls it.
    ///   - upper: where what is written goes; in one filesystem with `work`, an empty directory.
    static func mount(
        source: String, lower: String, upper: String, work: String, at target: String
    ) throws(CacheError) {
        let options =
            "lowerdir=\(escaped(lower, ",:")),upperdir=\(escaped(upper, ",")),workdir=\(escaped(work, ","))"
        do throws(Errno) {
            try SystemMount.mount(
                source: source, target: target, type: "overlay", flags: [.noDevices], data: options)
        } catch {
            if error == .noDevice {
                throw CacheError(.unsupported, "this kernel has no overlayfs: mount without --writable")
            }
            if error == .badArgument {
                throw CacheError(
                    .unsupported,
                    "what is written to \(target) cannot be kept in \(upper): it may be on an overlayfs itself, or on a"
                        + " filesystem without extended attributes; give the worker a --scratch elsewhere")
            }
            throw CacheError.system("mount an overlay at \(target)", error)
        }
    }

    /// Gives `upper` the owner, mode, times and attributes of the image's root: an overlay shows those of its upper
    /// directory.
    static func likeRoot(of lower: String, _ upper: String) throws {
        let source = try OpenFile.open(lower, .directory)
        let target = try OpenFile.open(upper, .directory)
        let status = try source.status()
        let attributes = try source.attributeNames()
        for name in attributes {
            guard let value = try source.attribute(name) else { continue }
            try value.withUnsafeBytes { value in
                try reporting("set \(name) of \(upper)") { () throws(Errno) in
                    try name.withCString { name throws(Errno) in try target.descriptor.setAttribute(name, value) }
                }
            }
        }
        try reporting("set the attributes of \(upper)") { () throws(Errno) in
            try target.descriptor.setOwner(user: status.userID, group: status.groupID)
            try target.descriptor.setMode(status.permissions)
            try target.descriptor.setTimes(accessed: status.modified, modified: status.modified)
        }
    }

    /// A path as the options have it: `characters` end one there.
    private static func escaped(_ path: String, _ characters: String) -> String {
        path.reduce(into: "") { text, character in
            if character == "\\" || characters.contains(character) { text.append("\\") }
            text.append(character)
        }
    }
}
