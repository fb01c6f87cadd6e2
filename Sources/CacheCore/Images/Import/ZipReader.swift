internal import CArchive
internal import CacheBase
internal import CacheFiles
internal import Glibc

/// libarchive, reading a ZIP entry by entry, in the order of its directory.
///
/// One thread at a time. `current` is valid until the next call of ``next()``.
final class ZipReader {
    let name: String
    private let archive: OpaquePointer
    private let context: Context
    // Names are converted to the thread's character set: one that holds every name must be set whenever libarchive sees
    // one.
    private let utf8: locale_t?
    private(set) var current: OpaquePointer?

    /// What libarchive's callbacks work on.
    private final class Context {
        private static let bufferBytes = 256 << 10

        private let range: FileRange
        private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 4096)
        private var position = 0
        private let directoryLimit: Int
        /// What may still be read of the directory; `nil` once it was.
        var directoryBudget: Int?
        /// What a callback threw: libarchive is only told that there was something.
        var error: (any Error)?

        init(_ range: FileRange, directoryLimit: Int) {
            self.range = range
            self.directoryLimit = directoryLimit
            directoryBudget = directoryLimit
        }

        deinit { buffer.deallocate() }

        /// The next bytes, valid until the next call.
        func read() throws -> UnsafeRawBufferPointer {
            let count = try range.read(into: buffer, at: position)
            position += count
            if let budget = directoryBudget {
                guard count <= budget else {
                    throw Limit.zipDirectoryBytes.exceeded(
                        "\(range.file.name): the ZIP's directory has more than \(directoryLimit) bytes")
                }
                directoryBudget = budget - count
            }
            return UnsafeRawBufferPointer(rebasing: buffer[..<count])
        }

        func seek(_ offset: Int64, _ whence: Int32) -> Int64 {
            let base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? position : range.size
            let (target, overflow) = base.addingReportingOverflow(Int(offset))
            guard !overflow, target >= 0 else { return Int64(ARCHIVE_FATAL) }
            position = min(target, range.size)
            return Int64(position)
        }
    }

    init(_ range: FileRange, name: String, limits: ImportLimits) throws {
        self.name = name
        context = Context(range, directoryLimit: limits.zipDirectoryBytes)
        guard let archive = archive_read_new() else { throw CacheError(.io, "no memory to read \(name)") }
        self.archive = archive
        utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nil)
        archive_read_support_format_zip_seekable(archive)
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
        archive_read_set_seek_callback(archive) { _, data, offset, whence in
            guard let data else { return Int64(ARCHIVE_FATAL) }
            return Unmanaged<Context>.fromOpaque(data).takeUnretainedValue().seek(offset, whence)
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
        // A warning tells of fields that contradict one another, and then the entry is not trusted; or of a name that
        // cannot be converted, which does no harm, as names are taken from the ZIP's directory.
        if status == ARCHIVE_OK || status == ARCHIVE_WARN && isAboutEncoding { return entry }
        current = nil
        try check(status)
        return entry
    }

    /// Whether the warning is about a name's encoding. Only libarchive's text tells: its code is the one of
    /// contradictory fields, too.
    private var isAboutEncoding: Bool {
        guard let message = archive_error_string(archive) else { return false }
        return String(cString: message).contains("be converted from")
    }

    /// Contents of the current entry; 0 at its end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = archive_read_data(archive, buffer.baseAddress, buffer.count)
        if count < 0 { try check(Int32(count)) }
        return count
    }

    /// A text that libarchive returns for the current entry: its bytes, whatever encoding the archive had.
    func text(_ get: (OpaquePointer) -> UnsafePointer<CChar>?) -> FileName? {
        guard let current else { return nil }
        return withUTF8 {
            get(current).map { FileName(cString: $0) }
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
        // Some messages of libarchive end with a line break.
        let reason = archive_error_string(archive).map { String(cString: $0) } ?? "it is damaged"
        let line = reason.prefix { !$0.isNewline }
        let entry = text(archive_entry_pathname).map { ", at '\($0)'" } ?? ""
        throw CacheError(.invalidInput, "\(name) cannot be read\(entry): \(line): pack it anew")
    }
}
