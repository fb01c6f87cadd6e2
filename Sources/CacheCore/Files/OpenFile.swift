package import CacheBase

/// An open file or directory, with the name that messages call it by; closed when the last reference to it goes.
///
/// The one owner of a ``Descriptor``: whatever holds a file open holds one of these.
package final class OpenFile: Sendable {
    /// Valid for as long as this object is: it must be held while the number is in use.
    package let descriptor: Descriptor
    package let name: String

    /// Takes over `descriptor`, which nothing else may close.
    package init(adopting descriptor: Descriptor, name: String) {
        self.descriptor = descriptor
        self.name = name
    }

    deinit { descriptor.close() }

    /// Opens `path`, following symbolic links: only for paths that the user gave.
    package static func open(
        _ path: String, _ flags: OpenFlags = [], mode: UInt32 = 0
    ) throws(CacheError) -> OpenFile {
        let descriptor = try reporting("open \(path)") { () throws(Errno) in
            try Descriptor.workingDirectory.open(path, flags, mode: mode)
        }
        return OpenFile(adopting: descriptor, name: path)
    }

    package func status() throws(CacheError) -> FileStatus {
        try reporting("stat \(name)") { () throws(Errno) in try descriptor.status() }
    }

    package enum Kind {
        /// Can be read at any place.
        case bytes
        /// Can be read from front to back only.
        case stream
        case directory
    }

    package func kind() throws(CacheError) -> Kind {
        switch try status().kind {
        case .regular, .blockDevice: .bytes
        case .directory: .directory
        default: .stream
        }
    }

    /// All of a regular file or block device, as a range of bytes.
    package func wholeRange() throws(CacheError) -> FileRange {
        let status = try status()
        switch status.kind {
        case .regular:
            return FileRange(file: self, offset: 0, size: status.size)
        case .blockDevice:
            let end = try reporting("find the size of \(name)") { () throws(Errno) in try descriptor.seekToEnd() }
            return FileRange(file: self, offset: 0, size: end)
        default:
            throw CacheError(.invalidInput, "\(name) is not a regular file")
        }
    }
}
