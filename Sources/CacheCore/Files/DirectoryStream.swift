internal import Glibc

/// The entries of a directory, one after the other, in no order and without `.` and `..`, `readdir(3)`.
struct DirectoryStream: ~Copyable {
    private let stream: OpaquePointer

    struct Entry {
        /// Valid until the next one is asked for.
        let name: UnsafeBufferPointer<UInt8>
        /// `nil` where the filesystem does not say it with the name.
        let kind: FileStatus.Kind?
    }

    /// Opens the directory once more, because the place that has been read to belongs to what was opened.
    /// - Throws: why it cannot be opened.
    init(of directory: Descriptor) throws(Errno) {
        let again = try directory.open(".", .subdirectory)
        guard let stream = fdopendir(again.rawValue) else {
            let error = Errno.current
            again.close()
            throw error
        }
        self.stream = stream
    }

    deinit { closedir(stream) }

    /// The next entry; `nil` at the end.
    mutating func next() throws(Errno) -> Entry? {
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw Errno.current }
                return nil
            }
            let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 0
            let start = UnsafeRawPointer(entry).advanced(by: offset)
            let count = strlen(start.assumingMemoryBound(to: CChar.self))
            let name = UnsafeBufferPointer(start: start.assumingMemoryBound(to: UInt8.self), count: count)
            if name.elementsEqual(".".utf8) || name.elementsEqual("..".utf8) { continue }
            return Entry(name: name, kind: Self.kind(entry.pointee.d_type))
        }
    }

    private static func kind(_ type: UInt8) -> FileStatus.Kind? {
        switch Int(type) {
        case Int(DT_UNKNOWN): nil
        case Int(DT_REG): .regular
        case Int(DT_DIR): .directory
        case Int(DT_LNK): .symbolicLink
        case Int(DT_CHR): .characterDevice
        case Int(DT_BLK): .blockDevice
        case Int(DT_FIFO): .fifo
        case Int(DT_SOCK): .socket
        default: .unknown
        }
    }
}
