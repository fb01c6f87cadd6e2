internal import CacheBase
internal import Glibc
internal import NIOCore

/// Reads the plaintext of an entry table, entry after entry, in the order of the archive.
///
/// Feed it with `append`, call `next` until it asks for more. It never waits, does no I/O, and holds at most what was
/// appended and not yet used plus one record (4 MiB at most). Its bytes may be hostile: anything malformed throws
/// ``CacheError/Code/corrupt``.
public struct EntryTableReader: Sendable {
    public enum Step: Sendable, Equatable {
        case entry(LayerEntry)
        /// The table goes on: append more of it. If there is no more, it was cut off (see ``checkEnded()``).
        case needMore
        case end
    }

    private var pending = ByteBuffer()
    private var addresses = RunAddressCoder()
    private var permissions = EntryRecord.LastPermissions()
    private var path: [UInt8] = []
    private var mtime: Int64 = 0
    private var count: UInt64 = 0
    private var hasMagic = false
    private var hasEnded = false

    /// A reader for a table that has at least one chunk; the one without any has no entries.
    public init() {}

    /// Takes the next piece of the table, of any size. Copies it.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        pending.discardReadBytes()
        pending.writeBytes(bytes)
    }

    public mutating func next() throws -> Step {
        do {
            while true {
                if hasEnded {
                    guard pending.readableBytes == 0 else { throw VarintCursor.Malformed("bytes after its end") }
                    return .end
                }
                let input = pending
                let (used, entry): (Int?, LayerEntry?) = try input.withUnsafeReadableBytes { bytes in
                    var cursor = VarintCursor(bytes)
                    var entry: LayerEntry?
                    let isComplete = try read(&cursor, &entry)
                    return (isComplete ? cursor.position : nil, entry)
                }
                guard let used else { return .needMore }
                pending.moveReaderIndex(forwardBy: used)
                if let entry { return .entry(entry) }
            }
        } catch let malformed as VarintCursor.Malformed {
            throw CacheError(
                .corrupt, "the entry table of the layer is damaged: \(malformed.what) after \(count) entries")
        }
    }

    /// Throws unless the end was reached: a table that is cut off must not pass for a shorter one.
    public func checkEnded() throws {
        guard hasEnded, pending.readableBytes == 0 else {
            throw CacheError(.corrupt, "the entry table of the layer is cut off after \(count) entries")
        }
    }

    /// Takes the magic, a record, or the end; `false` if bytes of it are missing, with nothing changed.
    private mutating func read(_ cursor: inout VarintCursor, _ entry: inout LayerEntry?) throws -> Bool {
        guard hasMagic else {
            guard let magic = cursor.take(EntryRecord.magic.count) else { return false }
            try checkMagic(magic)
            hasMagic = true
            return true
        }
        guard let length = try cursor.unsigned() else { return false }
        if length == 0 {
            guard let total = try cursor.unsigned() else { return false }
            guard total == count else { throw VarintCursor.Malformed("an end that counts \(total)") }
            hasEnded = true
            return true
        }
        guard length <= EntryRecord.mostBytes else { throw VarintCursor.Malformed("a record that is too long") }
        guard let bytes = cursor.take(Int(length)) else { return false }
        var record = VarintCursor(bytes)
        guard let parsed = try parse(&record), record.remaining == 0 else {
            throw VarintCursor.Malformed("a record that does not fill its length")
        }
        entry = parsed
        count += 1
        return true
    }

    private func checkMagic(_ bytes: UnsafeRawBufferPointer) throws {
        guard !bytes.elementsEqual(EntryRecord.magic) else { return }
        guard bytes.dropLast().elementsEqual(EntryRecord.magic.dropLast()) else {
            throw VarintCursor.Malformed("it does not begin as an entry table")
        }
        throw CacheError(
            .unsupported,
            "the layer's entry table has version \(bytes[bytes.count - 1]), which this build does not know")
    }

    /// The entry in one whole record; `nil` if the record is too short.
    private mutating func parse(_ record: inout VarintCursor) throws -> LayerEntry? {
        guard let first = record.byte() else { return nil }
        guard let kind = LayerEntry.Kind(rawValue: first & EntryRecord.kindMask) else {
            throw VarintCursor.Malformed("an unknown kind of entry")
        }
        guard let shared = try record.unsigned(), let rest = try record.text() else { return nil }
        guard shared <= UInt64(path.count), Int(shared) + rest.count <= Limit.pathBytes.maximum else {
            throw VarintCursor.Malformed("an impossible path")
        }
        path.replaceSubrange(Int(shared)..., with: rest)
        var entry = LayerEntry(path: path, kind: kind)

        if first & EntryRecord.permissions != 0 {
            guard let mode = try record.unsigned(), let uid = try record.unsigned(), let gid = try record.unsigned()
            else {
                return nil
            }
            guard mode <= 0o7777, let uid = UInt32(exactly: uid), let gid = UInt32(exactly: gid) else {
                throw VarintCursor.Malformed("an impossible mode or owner")
            }
            permissions[kind] = LayerEntry.Permissions(mode: UInt16(mode), uid: uid, gid: gid)
        }
        entry.permissions = permissions[kind]

        guard let later = try record.signed() else { return nil }
        mtime &+= later
        entry.modificationTime.seconds = mtime
        if first & EntryRecord.nanoseconds != 0 {
            guard let nanoseconds = try record.unsigned() else { return nil }
            guard nanoseconds < 1_000_000_000 else { throw VarintCursor.Malformed("an impossible time") }
            entry.modificationTime.nanoseconds = UInt32(nanoseconds)
        }
        switch kind {
        case .symbolicLink, .hardLink:
            guard let target = try record.text() else { return nil }
            entry.linkTarget = [UInt8](target)
        case .characterDevice, .blockDevice:
            guard let major = try record.unsigned(), let minor = try record.unsigned() else { return nil }
            guard let major = UInt32(exactly: major), let minor = UInt32(exactly: minor) else {
                throw VarintCursor.Malformed("an impossible device")
            }
            (entry.deviceMajor, entry.deviceMinor) = (major, minor)
        case .file, .directory, .fifo: break
        }
        if kind == .file || kind == .hardLink {
            guard let stored = try record.unsigned() else { return nil }
            entry.size = stored
            if stored > 0 {
                let isExplicit = first & EntryRecord.address != 0
                guard let run = try addresses.read(length: stored, explicit: isExplicit, from: &record) else {
                    return nil
                }
                entry.content = run
            }
        }
        if first & EntryRecord.extras != 0 {
            guard try readExtras(&record, of: &entry) else { return nil }
        }
        return entry
    }

    private func readExtras(_ record: inout VarintCursor, of entry: inout LayerEntry) throws -> Bool {
        // Counts are not trusted: each item takes two bytes of the record at least, and ends with it.
        guard let attributes = try record.unsigned() else { return false }
        for _ in 0..<min(attributes, UInt64(record.remaining)) {
            guard let name = try record.text(), let value = try record.bytes() else { return false }
            entry.xattrs.append(LayerEntry.ExtendedAttribute(name: [UInt8](name), value: [UInt8](value)))
        }
        guard UInt64(entry.xattrs.count) == attributes, let isSparse = record.byte() else { return false }
        guard isSparse != 0 else { return true }
        guard let size = try record.unsigned(), let count = try record.unsigned() else { return false }
        var segments: [LayerEntry.Segment] = []
        var end: UInt64 = 0
        var stored: UInt64 = 0
        for _ in 0..<min(count, UInt64(record.remaining)) {
            guard let gap = try record.unsigned(), let length = try record.unsigned() else { return false }
            guard gap <= size - end, length <= size - end - gap else {
                throw VarintCursor.Malformed("a sparse map beyond its file")
            }
            segments.append(LayerEntry.Segment(offset: end + gap, length: length))
            end += gap + length
            stored += length
        }
        guard UInt64(segments.count) == count else { return false }
        guard stored == entry.content?.length ?? 0 else {
            throw VarintCursor.Malformed("a sparse map that does not match what is stored")
        }
        entry.size = size
        entry.segments = segments
        return true
    }
}

extension VarintCursor {
    /// A count and so many bytes.
    fileprivate mutating func bytes() throws -> UnsafeRawBufferPointer? {
        guard let count = try unsigned(), count <= UInt64(remaining) else { return nil }
        return take(Int(count))
    }

    /// Bytes that will be handed to the system as a string: a NUL would cut them short there, after all checks.
    fileprivate mutating func text() throws -> UnsafeRawBufferPointer? {
        guard let bytes = try bytes() else { return nil }
        if let base = bytes.baseAddress, memchr(base, 0, bytes.count) != nil {
            throw Malformed("a name with a NUL in it")
        }
        return bytes
    }
}
