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
    func uid() throws -> UInt32 { TarNumber.owner(try number("uid", 108, 8)) }
    func gid() throws -> UInt32 { TarNumber.owner(try number("gid", 116, 8)) }
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

extension UnsafeRawBufferPointer {
    subscript(field position: Int, count: Int) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self[position..<position + count])
    }

    /// The bytes before the first NUL.
    var untilNUL: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: prefix { $0 != 0 })
    }
}
