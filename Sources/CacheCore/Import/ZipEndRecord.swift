/// The record at the end of a ZIP, as far as it counts entries. (PKWARE APPNOTE 6.3.10, 4.3.14 to 4.3.16.)
struct ZipEndRecord {
    private static let byteCount = 22
    private static let mostCommentBytes = 65_535
    private static let locatorBytes = 20

    private let entries: UInt64
    /// From the ZIP64 record, which has room for all; otherwise the upper bits may be missing.
    private let isExact: Bool
    /// There is nothing else in the file.
    let isAlone: Bool

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
        let count = tail.little(2, at: position + 10)
        isAlone = count == 0 && start + position == 0
        let locator = position - Self.locatorBytes
        if locator >= 0, tail.has([0x50, 0x4B, 6, 7], at: locator),
            let place = Int(exactly: tail.little(8, at: locator + 8)), place <= range.size - 56
        {
            let record = try FileRange(file: range.file, offset: range.offset + place, size: 56).readAll(atMost: 56)
            if record.has([0x50, 0x4B, 6, 6], at: 0) {
                entries = record.little(8, at: 32)
                isExact = true
                return
            }
        }
        entries = count
        isExact = false
    }

    func counts(_ found: Int) -> Bool { isExact ? UInt64(found) == entries : UInt64(found) & 0xFFFF == entries }
}

extension [UInt8] {
    fileprivate func has(_ magic: [UInt8], at position: Int) -> Bool { self[position...].starts(with: magic) }

    fileprivate func little(_ count: Int, at position: Int) -> UInt64 {
        self[position..<position + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
