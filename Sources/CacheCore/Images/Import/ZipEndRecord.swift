internal import CacheFiles

/// The record at the end of a ZIP, as far as it finds and counts entries. (PKWARE APPNOTE 6.3.10, 4.3.14 to 4.3.16.)
struct ZipEndRecord {
    private static let byteCount = 22
    private static let mostCommentBytes = 65_535
    private static let locatorBytes = 20
    private static let zip64Bytes = 56

    private let entries: UInt64
    /// From the ZIP64 record, which has room for all; otherwise the upper bits may be missing.
    private let isExact: Bool
    /// Where the record ends, and a comment begins.
    let end: Int
    /// Where the directory lies: right before this record, or where it says. They differ where something was put before
    /// the ZIP.
    let directoryPlaces: [Int]
    let directoryBytes: Int

    /// There is no entry.
    var isEmpty: Bool { entries == 0 }

    /// `nil` where there is none.
    init?(_ range: FileRange) throws {
        let start = max(0, range.size - Self.byteCount - Self.mostCommentBytes)
        let tail = try FileRange(file: range.file, offset: range.offset + start, size: range.size - start)
            .readAll(atMost: Self.byteCount + Self.mostCommentBytes)
        var position = tail.count - Self.byteCount
        while position >= 0 {
            let comment = tail.count - position - Self.byteCount
            if tail.has([0x50, 0x4B, 5, 6], at: position), tail.little(2, at: position + 20) <= comment { break }
            position -= 1
        }
        guard position >= 0 else { return nil }
        end = start + position + Self.byteCount
        var record = Record(
            entries: tail.little(2, at: position + 10), bytes: tail.little(4, at: position + 12),
            offset: tail.little(4, at: position + 16), place: start + position)
        let locator = position - Self.locatorBytes
        var isExact = false
        if locator >= 0, tail.has([0x50, 0x4B, 6, 7], at: locator),
            let larger = try Self.zip64(range, tail.little(8, at: locator + 8), before: start + locator)
        {
            record = larger
            isExact = true
        }
        self.isExact = isExact
        entries = record.entries
        let byteCount = Int(clamping: record.bytes)
        directoryBytes = byteCount
        directoryPlaces = [record.place - byteCount, Int(clamping: record.offset)].filter {
            $0 >= 0 && $0 <= range.size && byteCount <= range.size - $0
        }
    }

    private struct Record {
        let entries: UInt64
        let bytes: UInt64
        let offset: UInt64
        /// Where the record itself lies.
        let place: Int
    }

    /// The record of ZIP64, where its locator says or, with something before the ZIP, right before the locator.
    private static func zip64(_ range: FileRange, _ stated: UInt64, before locator: Int) throws -> Record? {
        for place in [Int(clamping: stated), locator - zip64Bytes] where place >= 0 && place <= range.size - zip64Bytes
        {
            let record = try FileRange(file: range.file, offset: range.offset + place, size: zip64Bytes)
                .readAll(atMost: zip64Bytes)
            guard record.has([0x50, 0x4B, 6, 6], at: 0) else { continue }
            return Record(
                entries: record.little(8, at: 32), bytes: record.little(8, at: 40), offset: record.little(8, at: 48),
                place: place)
        }
        return nil
    }

    func counts(_ found: Int) -> Bool { isExact ? UInt64(found) == entries : UInt64(found) & 0xFFFF == entries }
}

extension [UInt8] {
    func has(_ magic: [UInt8], at position: Int) -> Bool { self[position...].starts(with: magic) }

    func little(_ count: Int, at position: Int) -> UInt64 {
        self[position..<position + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
