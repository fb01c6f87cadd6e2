internal import CArchive
internal import CacheBase
internal import CacheFiles
internal import CacheLayers

/// The entries of a ZIP as a tar, in the order in which they lie in the file.
///
/// Their names are those of the ZIP's directory, kept inside; what one of them is and holds, libarchive finds out.
///
/// Times without a time zone, which is all that plain DOS fields have, are taken in the zone of this process (`TZ`), as
/// `unzip` does.
final class ZipTarSource: ByteSource {
    private let reader: ZipReader
    private let limits: ImportLimits
    private let directory: ZipDirectory
    private var entries = 0
    private var pending: ArraySlice<UInt8> = []
    /// What the current entry has yet to deliver.
    private var remaining = 0
    private var inEntry = false
    private var ended = false

    init(_ range: FileRange, _ end: ZipEndRecord, name: String, limits: ImportLimits) throws {
        directory = try ZipDirectory(range, end, name: name, limits: limits)
        // Without the comment behind the end record: where it is long, libarchive does not find the record.
        let entries = FileRange(file: range.file, offset: range.offset, size: end.end)
        reader = try ZipReader(entries, name: name, limits: limits)
        self.limits = limits
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            if !pending.isEmpty {
                let count = min(pending.count, buffer.count)
                buffer.copyBytes(from: pending.prefix(count))
                pending = pending.dropFirst(count)
                return count
            }
            if inEntry {
                let count = try readContents(into: buffer)
                if count > 0 { return count }
                continue
            }
            if ended { return 0 }
            try nextEntry()
        }
    }

    private func nextEntry() throws {
        guard let header = try reader.next() else {
            guard entries == directory.count else { throw otherEntries() }
            pending = [UInt8](repeating: 0, count: 2 * TarHeaderEncoder.block)[...]
            ended = true
            return
        }
        guard entries < directory.count else { throw otherEntries() }
        let listed = try directory.entry(entries)
        entries += 1
        let path = listed.path
        guard archive_entry_is_encrypted(header) == 0 else {
            throw CacheError(.unsupported, "\(reader.name) is encrypted (entry '\(path)'): decrypt it first")
        }
        // The target of a symbolic link is not what libarchive gives a size for.
        if FileStatus.Kind(rawValue: archive_entry_filetype(header)) == .regular,
            archive_entry_size_is_set(header) != 0,
            archive_entry_size(header) != Int64(clamping: listed.byteCount)
        {
            throw otherEntries()
        }
        guard !listed.isReplaced, try isUsable(path, listed) else { return }
        pending = try tarHeader(path, listed, header).encoded()[...]
    }

    /// Whether it names something inside. Some programs write an entry for the root of the archive.
    private func isUsable(_ path: FileName, _ listed: ZipDirectory.Entry) throws -> Bool {
        guard path.bytes.count < limits.pathBytes else {
            throw Limit.pathBytes.exceeded(
                "\(reader.name) has an entry whose name is longer than \(limits.pathBytes) bytes")
        }
        guard path.bytes.isEmpty else { return true }
        guard listed.isDirectory || listed.byteCount == 0 else {
            throw CacheError(
                .invalidInput, "\(reader.name) has a file whose name cannot be one: it is empty, '.' or '..'")
        }
        return false
    }

    private func tarHeader(
        _ path: FileName, _ listed: ZipDirectory.Entry, _ header: OpaquePointer
    ) throws -> TarHeaderEncoder {
        var entry = TarHeaderEncoder(path: path, kind: .file, mode: UInt32(archive_entry_perm(header)) & 0o7777)
        entry.userID = Int(archive_entry_uid(header))
        entry.groupID = Int(archive_entry_gid(header))
        entry.seconds = archive_entry_mtime(header)
        entry.nanoseconds = archive_entry_mtime_nsec(header)
        var kind = FileStatus.Kind(rawValue: archive_entry_filetype(header))
        if listed.isDirectory { kind = .directory }
        // A directory only by the name in the header before its contents: libarchive would not give these out.
        if kind == .directory, !listed.isDirectory, !listed.hasDirectoryMode { throw otherEntries() }
        switch kind {
        case .regular:
            guard archive_entry_size_is_set(header) != 0 else {
                throw CacheError(.invalidInput, "\(reader.name): the size of '\(path)' is not known")
            }
            entry.size = Int(archive_entry_size(header))
            guard entry.size >= 0, entry.size <= limits.layerBytes else {
                throw Limit.layerBytes.exceeded(
                    "\(reader.name): '\(path)' has \(entry.size) bytes, more than a layer may have")
            }
            remaining = entry.size
            inEntry = true
        case .directory:
            entry.kind = .directory
            entry.path = FileName(bytes: path.bytes + [UInt8(ascii: "/")])
        case .symbolicLink:
            guard let target = reader.text(archive_entry_symlink), !target.bytes.isEmpty else {
                throw CacheError(.invalidInput, "\(reader.name): the symbolic link '\(path)' has no target")
            }
            entry.kind = .symbolicLink
            entry.link = target
        default:
            throw CacheError(.unsupported, "\(reader.name): '\(path)' is neither file, directory nor symbolic link")
        }
        return entry
    }

    private func otherEntries() -> CacheError {
        CacheError(
            .invalidInput,
            "\(reader.name): the ZIP's directory and its entries are not about the same files: it is damaged or a trap")
    }

    private func readContents(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if remaining > 0 {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, remaining)])
            let count = try reader.read(into: part)
            guard count > 0 else { throw wrongSize() }
            remaining -= count
            return count
        }
        // Asking once more makes libarchive compare checksum and size.
        let beyond = try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { try reader.read(into: $0) }
        guard beyond == 0 else { throw wrongSize() }
        inEntry = false
        pending = [UInt8](repeating: 0, count: TarHeaderEncoder.padding(after: entrySize))[...]
        return 0
    }

    private var entrySize: Int { reader.current.map { Int(archive_entry_size($0)) } ?? 0 }

    private func wrongSize() -> CacheError {
        CacheError(
            .corrupt,
            "\(reader.name): an entry has not the size that the ZIP says"
        )
    }
}

extension LayerSource {
    /// The entries of a ZIP, as one layer.
    static func zip(_ path: String, limits: ImportLimits) throws -> LayerSource {
        let range = try OpenFile.open(path, .nonBlocking).wholeRange()
        guard let end = try ZipEndRecord(range) else {
            throw CacheError(.invalidInput, "\(path) is no ZIP, or its end is missing")
        }
        // libarchive takes a ZIP without any entry for no ZIP.
        if end.isEmpty, end.directoryBytes == 0 {
            let end = [UInt8](repeating: 0, count: 2 * TarHeaderEncoder.block)
            let nothing = FileRange(file: range.file, offset: 0, size: 0)
            return LayerSource(name: path, compressedSize: range.size) {
                PrefixedSource(prefix: end, then: FileRangeSource(nothing))
            }
        }
        return LayerSource(name: path, compressedSize: range.size) {
            LimitedSource(
                try ZipTarSource(range, end, name: path, limits: limits), name: path, limit: limits.expansionLimit,
                compressedSize: range.size)
        }
    }
}
