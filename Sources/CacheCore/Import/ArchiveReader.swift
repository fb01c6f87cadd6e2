internal import CArchive
internal import Glibc

/// libarchive, reading entry by entry: a ZIP by its directory, or a tar from front to back.
///
/// One thread at a time. `current` is valid until the next call of ``next()``.
final class ArchiveReader {
    enum Input {
        case zip(FileRange)
        case tar(any ByteSource)
    }

    let name: String
    private let archive: OpaquePointer
    private let context: Context
    // Names are converted to the thread's character set: one that holds every name must be set whenever libarchive sees one.
    private let utf8: locale_t?
    private(set) var current: OpaquePointer?
    /// Where libarchive could not make sense of a name.
    private var rawHeaders: TarEntryHeaders?

    /// What libarchive's callbacks work on.
    private final class Context {
        let input: Input
        let window = ReadWindow()
        var position = 0
        let directoryLimit: Int
        var directoryBudget: Int?
        /// What a callback threw: libarchive is only told that there was something.
        var error: (any Error)?

        init(_ input: Input, directoryLimit: Int) {
            self.input = input
            self.directoryLimit = directoryLimit
            directoryBudget = directoryLimit
        }

        func read() throws -> UnsafeRawBufferPointer {
            switch input {
            case .tar(let source): return try window.next { try source.fill($0) }
            case .zip(let range):
                let piece = try window.next { try range.read(into: $0, at: position) }
                let count = piece.count
                position += count
                if let budget = directoryBudget {
                    guard count <= budget else {
                        throw Limit.zipDirectoryBytes.exceeded(
                            "\(range.file.name): the ZIP's directory has more than \(directoryLimit) bytes")
                    }
                    directoryBudget = budget - count
                }
                return piece
            }
        }

        func seek(_ offset: Int64, _ whence: Int32) -> Int64 {
            guard case .zip(let range) = input else { return Int64(ARCHIVE_FATAL) }
            let base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? position : range.size
            let (target, overflow) = base.addingReportingOverflow(Int(offset))
            guard !overflow, target >= 0 else { return Int64(ARCHIVE_FATAL) }
            position = min(target, range.size)
            return Int64(position)
        }
    }

    init(_ input: Input, name: String, limits: ImportLimits = ImportLimits()) throws {
        self.name = name
        context = Context(input, directoryLimit: limits.zipDirectoryBytes)
        guard let archive = archive_read_new() else { throw CacheError(.io, "no memory to read \(name)") }
        self.archive = archive
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nil)
        switch input {
        case .zip: archive_read_support_format_zip_seekable(archive)
        case .tar:
            archive_read_support_format_tar(archive)
            archive_read_support_format_empty(archive)
        }
        archive_read_set_callback_data(archive, Unmanaged.passUnretained(context).toOpaque())
        archive_read_set_read_callback(archive) { _, data, block in
            guard let data, let block else { return -1 }
            let context = Unmanaged<Context>.fromOpaque(data).takeUnretainedValue()
            do {
                let piece = try context.read()
                block.pointee = piece.baseAddress
                return piece.count
            } catch {
                context.error = error
                return -1
            }
        }
        if case .zip = input {
            archive_read_set_seek_callback(archive) { _, data, offset, whence in
                guard let data else { return Int64(ARCHIVE_FATAL) }
                return Unmanaged<Context>.fromOpaque(data).takeUnretainedValue().seek(offset, whence)
            }
        }
        try check(archive_read_open1(archive))
    }

    deinit {
        archive_read_free(archive)
        if let utf8 { freelocale(utf8) }
    }

    /// Goes to the next entry; `nil` at the end.
    func next() throws -> OpaquePointer? {
        current = nil
        var entry: OpaquePointer?
        let status = withUTF8 { archive_read_next_header(archive, &entry) }
        context.directoryBudget = nil
        if status == ARCHIVE_EOF {
            if let error = context.error { throw error }
            return nil
        }
        current = entry
        rawHeaders = nil
        // A warning is a name that cannot be read, or fields that contradict one another: no entry to trust. Names that are not what the
        // archive says they are encoded in we read ourselves: GNU tar writes all names as they are, and calls them UTF-8.
        if status == ARCHIVE_WARN, case .tar = context.input, isAboutEncoding, let headers = readHeaders() {
            rawHeaders = headers
        } else if status == ARCHIVE_WARN, case .zip = context.input, isAboutEncoding {
            // The names of a ZIP are those of its directory.
        } else {
            if status != ARCHIVE_OK { current = nil }
            try check(status)
        }
        return entry
    }

    private var isAboutEncoding: Bool {
        guard let message = archive_error_string(archive) else { return false }
        return String(cString: message).contains("be converted from")
    }

    /// What the headers of the current entry of a tar say themselves; `nil` if that is not known any more.
    private func readHeaders() -> TarEntryHeaders? {
        let position = Int(archive_read_header_position(archive))
        return context.window.bytes(from: position).flatMap { $0.withUnsafeBytes { try? TarEntryHeaders($0) } }
    }

    /// Contents of the current entry, with zeros in its holes; 0 at its end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = archive_read_data(archive, buffer.baseAddress, buffer.count)
        if count < 0 { try check(Int32(count)) }
        return count
    }

    /// The next piece of the current entry and its place in it, holes left out; `nil` at its end.
    func nextBlock() throws -> (bytes: UnsafeRawBufferPointer, offset: Int)? {
        var start: UnsafeRawPointer?
        var count = 0
        var offset: Int64 = 0
        let status = archive_read_data_block(archive, &start, &count, &offset)
        if status == ARCHIVE_EOF { return nil }
        try check(status)
        return (UnsafeRawBufferPointer(start: start, count: count), Int(offset))
    }

    // MARK: The current entry

    var path: FileName? {
        if let rawHeaders { return FileName(bytes: rawHeaders.path) }
        return text(archive_entry_pathname)
    }

    /// For a hard link, what it is another name of.
    var hardLink: FileName? {
        guard let rawHeaders else { return text(archive_entry_hardlink) }
        return rawHeaders.type == UInt8(ascii: "1") ? FileName(bytes: rawHeaders.linkTarget) : nil
    }

    var symbolicLink: FileName? {
        guard let rawHeaders else { return text(archive_entry_symlink) }
        return rawHeaders.type == UInt8(ascii: "2") ? FileName(bytes: rawHeaders.linkTarget) : nil
    }

    /// libarchive reads pax's -1.5 as -1 and half a second more, and -0.5 as 0.5: before 1971, the header itself is asked.
    var modified: timespec {
        guard let current else { return timespec() }
        let time = timespec(tv_sec: archive_entry_mtime(current), tv_nsec: archive_entry_mtime_nsec(current))
        guard time.tv_sec <= 0, time.tv_nsec > 0, case .tar = context.input else { return time }
        if let read = (rawHeaders ?? readHeaders())?.modified {
            return timespec(tv_sec: Int(read.seconds), tv_nsec: Int(read.nanoseconds))
        }
        // Only a header of more than 1 MiB is forgotten by now.
        return time.tv_sec < 0 ? timespec(tv_sec: time.tv_sec - 1, tv_nsec: 1_000_000_000 - time.tv_nsec) : time
    }

    /// A text that libarchive returns for the current entry: its bytes, whatever encoding the archive had.
    func text(_ get: (OpaquePointer) -> UnsafePointer<CChar>?) -> FileName? {
        guard let current else { return nil }
        return withUTF8 {
            get(current).map { text in
                text.withMemoryRebound(to: UInt8.self, capacity: strlen(text)) {
                    FileName(bytes: UnsafeBufferPointer(start: $0, count: strlen(text)))
                }
            }
        }
    }

    private func withUTF8<Result>(_ body: () -> Result) -> Result {
        guard let utf8 else { return body() }
        let before = uselocale(utf8)
        defer { uselocale(before) }
        return body()
    }

    private func check(_ status: Int32) throws {
        guard status != ARCHIVE_OK else { return }
        if let error = context.error { throw error }
        let reason = archive_error_string(archive).map { String(cString: $0) } ?? "it is damaged"
        let entry = text(archive_entry_pathname).map { ", at '\($0)'" } ?? ""
        throw CacheError(.invalidInput, "\(name) cannot be read\(entry): \(reason)")
    }
}
