/// What is wrong with a tar; the splitter adds the entry and the place.
struct TarFault: Error {
    let what: String
    init(_ what: String) { self.what = what }
}

/// One header block of a tar, in any of the dialects v7, ustar, GNU and star. Fields are parsed when they are asked for, so that what
/// an entry does not use may be garbage.
struct TarHeader {
    private let block: UnsafeRawBufferPointer

    /// - Parameter block: 512 bytes that stay valid for as long as the header is used.
    /// - Throws: if the checksum is wrong: then this is no header.
    init(_ block: UnsafeRawBufferPointer) throws {
        self.block = block
        guard Self.hasValidChecksum(block) else { throw TarFault("no tar header where one must be (wrong checksum)") }
    }

    /// Whether a block of 512 bytes passes for a header.
    static func hasValidChecksum(_ block: UnsafeRawBufferPointer) -> Bool {
        if TarBlock.hasUsualChecksum(block) { return true }
        guard let stored = try? TarNumber.parse(block[field: 148, 8]) else { return false }
        return stored == Int64(TarBlock.sum(block)) || stored == Int64(TarBlock.signedSum(block))
    }

    var type: UInt8 { block[156] }

    /// ustar's prefix included.
    var path: [UInt8] {
        let name = block[field: 0, 100].untilNUL
        guard isUstar else { return [UInt8](name) }
        // star keeps times behind a shorter prefix.
        let isStar = block[field: 508, 4].elementsEqual("tar\0".utf8)
        let prefix = block[field: 345, isStar ? 131 : 155].untilNUL
        guard !prefix.isEmpty else { return [UInt8](name) }
        var path = [UInt8]()
        path.reserveCapacity(prefix.count + 1 + name.count)
        path.append(prefix)
        path.append(UInt8(ascii: "/"))
        path.append(name)
        return path
    }

    var linkTarget: [UInt8] { [UInt8](block[field: 157, 100].untilNUL) }

    private var isUstar: Bool { block[field: 257, 6].elementsEqual("ustar\0".utf8) }

    func mode() throws -> UInt16 { UInt16(try number("mode", 100, 8) & 0o7777) }
    func uid() throws -> UInt32 { try TarNumber.identifier(number("uid", 108, 8), "uid") }
    func gid() throws -> UInt32 { try TarNumber.identifier(number("gid", 116, 8), "gid") }
    func mtime() throws -> Int64 { try number("mtime", 136, 12) }
    func deviceMajor() throws -> UInt32 { try TarNumber.identifier(number("devmajor", 329, 8), "devmajor") }
    func deviceMinor() throws -> UInt32 { try TarNumber.identifier(number("devminor", 337, 8), "devminor") }
    func size() throws -> UInt64 { try TarNumber.size(number("size", 124, 12)) }

    /// GNU's size of a sparse file as its readers see it.
    func sparseSize() throws -> UInt64 { try TarNumber.size(number("real size", 483, 12)) }
    /// GNU's first four segments of a sparse file, and whether blocks with more follow the header.
    func sparseMap() throws -> (segments: [LayerEntry.Segment], continues: Bool) {
        (try Self.segments(block[field: 386, 96]), block[482] != 0)
    }

    /// The 21 segments of a block that continues GNU's sparse map, and whether there is another one.
    static func sparseContinuation(
        _ block: UnsafeRawBufferPointer
    ) throws -> (segments: [LayerEntry.Segment], continues: Bool) {
        (try segments(block[field: 0, 504]), block[504] != 0)
    }

    private static func segments(_ table: UnsafeRawBufferPointer) throws -> [LayerEntry.Segment] {
        var segments: [LayerEntry.Segment] = []
        for position in stride(from: 0, to: table.count, by: 24) where table[position] != 0 {
            do {
                segments.append(
                    LayerEntry.Segment(
                        offset: try TarNumber.size(TarNumber.parse(table[field: position, 12])),
                        length: try TarNumber.size(TarNumber.parse(table[field: position + 12, 12]))))
            } catch { throw TarFault("a sparse map with a malformed number") }
        }
        return segments
    }

    private func number(_ name: String, _ position: Int, _ count: Int) throws -> Int64 {
        do { return try TarNumber.parse(block[field: position, count]) } catch {
            throw TarFault("a malformed number in the field \(name)")
        }
    }
}

/// Numbers as tar headers hold them.
enum TarNumber {
    /// No file is longer; sums of such sizes do not overflow.
    static let largestSize: Int64 = 1 << 59

    /// Octal digits with blanks or NULs around them, nothing at all (0), or GNU's base 256 with the highest bit set.
    static func parse(_ field: UnsafeRawBufferPointer) throws -> Int64 {
        guard let first = field.first else { return 0 }
        if first & 0x80 != 0 { return try base256(field) }
        var position = 0
        while position < field.count, field[position] == 0x20 || field[position] == 0 { position += 1 }
        var value: Int64 = 0
        while position < field.count {
            let byte = field[position]
            if byte == 0x20 || byte == 0 { break }
            // Twelve digits at most: 36 bits.
            guard byte >= 0x30, byte <= 0x37 else { throw TarFault("a malformed number") }
            value = value << 3 | Int64(byte - 0x30)
            position += 1
        }
        return value
    }

    /// Two's complement, highest byte first, without the highest bit of all, which marks it.
    private static func base256(_ field: UnsafeRawBufferPointer) throws -> Int64 {
        let isNegative = field[0] & 0x40 != 0
        var value: Int64 = isNegative ? -1 : 0
        for (index, byte) in field.enumerated() {
            let byte = index == 0 ? (isNegative ? byte | 0x80 : byte & 0x7F) : byte
            let (shifted, overflow) = value.multipliedReportingOverflow(by: 256)
            guard !overflow else { throw TarFault("a number that overflows") }
            value = shifted | Int64(byte)
        }
        return value
    }

    static func size(_ value: Int64) throws -> UInt64 {
        guard value >= 0, value <= largestSize else { throw TarFault("an impossible size of \(value) bytes") }
        return UInt64(value)
    }

    /// User, group and device numbers have 32 bits; negative ones are those of systems that count them as signed.
    static func identifier(_ value: Int64, _ name: String) throws -> UInt32 {
        guard value >= Int64(Int32.min), value <= Int64(UInt32.max) else {
            throw TarFault("a \(name) of \(value), which no system has")
        }
        return UInt32(truncatingIfNeeded: value)
    }
}

extension UnsafeRawBufferPointer {
    subscript(field position: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[position..<position + count])
    }

    /// The bytes before the first NUL.
    var untilNUL: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: prefix { $0 != 0 })
    }
}
