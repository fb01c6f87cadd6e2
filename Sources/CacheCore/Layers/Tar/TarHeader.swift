/// One header block of a tar, in any of the dialects v7, ustar, GNU and star, understood as Go's `archive/tar` does and
/// so the runtimes.
struct TarHeader {
    private enum Dialect {
        /// Whatever has no magic that is known, `ustar 00` for one: only the fields up to the link's target mean
        /// anything.
        case v7
        /// A prefix of the path, and device numbers.
        case ustar
        /// ustar with a shorter prefix, and times behind it.
        case star
        /// Device numbers, but times and a sparse map where ustar has its prefix.
        case gnu
    }

    /// The numbers of a header. One that is malformed makes it malformed, also where the entry's kind has no use for
    /// it.
    struct Numbers {
        let mode: Int64
        let uid: Int64
        let gid: Int64
        let size: Int64
        let mtime: Int64
        var deviceMajor: Int64 = 0
        var deviceMinor: Int64 = 0
    }

    private let block: UnsafeRawBufferPointer
    private let dialect: Dialect

    /// - Parameter block: 512 bytes that stay valid for as long as the header is used.
    /// - Throws: if the checksum is wrong: then this is no header.
    init(_ block: UnsafeRawBufferPointer) throws {
        self.block = block
        guard Self.hasValidChecksum(block) else { throw TarFault("no tar header where one must be (wrong checksum)") }
        dialect = Self.dialect(of: block)
    }

    /// Whether a block of 512 bytes passes for a header: its bytes add up, taken as unsigned or, as some old programs
    /// did, as signed.
    private static func hasValidChecksum(_ block: UnsafeRawBufferPointer) -> Bool {
        if TarBlock.hasUsualChecksum(block) { return true }
        guard let stored = try? TarNumber.octal(block[field: 148, 8]) else { return false }
        return stored == Int64(TarBlock.sum(block)) || stored == Int64(TarBlock.signedSum(block))
    }

    private static func dialect(of block: UnsafeRawBufferPointer) -> Dialect {
        let magic = UInt64(bigEndian: block.loadUnaligned(fromByteOffset: 257, as: UInt64.self))
        // `ustar`, NUL. Its version (`00`) is ignored, as other readers do.
        if magic >> 16 == 0x7573_7461_7200 {
            // `tar`, NUL
            let isStar = UInt32(bigEndian: block.loadUnaligned(fromByteOffset: 508, as: UInt32.self)) == 0x7461_7200
            return isStar ? .star : .ustar
        }
        // `ustar`, two blanks, NUL
        return magic == 0x7573_7461_7220_2000 ? .gnu : .v7
    }

    var type: UInt8 { block[156] }

    /// The prefix included.
    var path: [UInt8] {
        let name = block[field: 0, 100].untilNUL
        let prefix = self.prefix
        guard !prefix.isEmpty else { return [UInt8](name) }
        var path = [UInt8]()
        path.reserveCapacity(prefix.count + 1 + name.count)
        path.append(prefix)
        path.append(UInt8(ascii: "/"))
        path.append(name)
        return path
    }

    private var prefix: UnsafeRawBufferPointer {
        switch dialect {
        case .v7: return UnsafeRawBufferPointer(rebasing: block[..<0])
        case .ustar: return block[field: 345, 155].untilNUL
        case .star: return block[field: 345, 131].untilNUL
        case .gnu:
            // Go wrote a prefix into GNU headers until 1.8, and reads it where it can be no time
            // (golang.org/issue/12594).
            let prefix = block[field: 345, 155].untilNUL
            let isTime = prefix.isEmpty || ((try? gnuTimes()) != nil)
            return isTime || prefix.contains { $0 >= 0x80 } ? UnsafeRawBufferPointer(rebasing: block[..<0]) : prefix
        }
    }

    private func gnuTimes() throws {
        for position in [345, 357] where block[position] != 0 {
            _ = try TarNumber.parse(block[field: position, 12])
        }
    }

    var linkTarget: [UInt8] { [UInt8](block[field: 157, 100].untilNUL) }

    func numbers() throws -> Numbers {
        var numbers = Numbers(
            mode: try number("mode", 100, 8), uid: try number("uid", 108, 8), gid: try number("gid", 116, 8),
            size: try number("size", 124, 12), mtime: try number("mtime", 136, 12))
        if dialect != .v7 {
            numbers.deviceMajor = try number("devmajor", 329, 8)
            numbers.deviceMinor = try number("devminor", 337, 8)
        }
        if dialect == .star {
            _ = try number("atime", 476, 12)
            _ = try number("ctime", 488, 12)
        }
        return numbers
    }

    private func number(_ name: String, _ position: Int, _ count: Int) throws -> Int64 {
        do { return try TarNumber.parse(block[field: position, count]) } catch {
            throw TarFault("a malformed number in the field \(name)")
        }
    }

    // MARK: GNU's sparse files, type S

    /// The size of the file as its readers see it.
    /// - Throws: in other dialects: star has the same type, and another map.
    func sparseSize() throws -> UInt64 {
        guard dialect == .gnu else { throw TarFault("a sparse file in a header that is not GNU's") }
        return try TarNumber.size(number("real size", 483, 12))
    }

    /// The first four segments, and whether blocks with more follow the header.
    func sparseMap() throws -> (segments: [LayerEntry.Segment], continues: Bool) {
        (try Self.segments(block[field: 386, 96]), block[482] != 0)
    }

    /// The 21 segments of a block that continues a map, and whether there is another one.
    static func sparseContinuation(
        _ block: UnsafeRawBufferPointer
    ) throws -> (segments: [LayerEntry.Segment], continues: Bool) {
        (try segments(block[field: 0, 504]), block[504] != 0)
    }

    private static func segments(_ table: UnsafeRawBufferPointer) throws -> [LayerEntry.Segment] {
        var segments: [LayerEntry.Segment] = []
        for position in stride(from: 0, to: table.count, by: 24) {
            // The first one that is not used ends the table.
            if table[position] == 0 { break }
            do {
                segments.append(
                    LayerEntry.Segment(
                        offset: try TarNumber.size(TarNumber.parse(table[field: position, 12])),
                        length: try TarNumber.size(TarNumber.parse(table[field: position + 12, 12]))))
            } catch { throw TarFault("a sparse map with a malformed number") }
        }
        return segments
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
