/// What the headers of one tar entry say, for what libarchive does not tell as it stands there: names in whatever encoding, times before 1970.
struct TarEntryHeaders {
    let path: [UInt8]
    let linkTarget: [UInt8]
    let type: UInt8
    /// Of a pax header; `nil` where the entry has none, or it says nothing of that.
    let modified: TarPaxRecords.Time?

    /// - Parameter bytes: begin with the first header of the entry.
    /// - Throws: ``TarFault`` if they do not, or end before its last one.
    init(_ bytes: UnsafeRawBufferPointer) throws {
        var pax = TarPaxRecords()
        var longPath: [UInt8]?
        var longTarget: [UInt8]?
        var position = 0
        func take(_ count: Int) throws -> UnsafeRawBufferPointer {
            guard count <= bytes.count - position else { throw TarFault("the headers of an entry are not all there") }
            defer { position += count }
            return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
        }
        while true {
            let header = try TarHeader(try take(TarBlock.byteCount))
            guard TarExtendedHeaders.isExtendedHeader(header.type) else {
                path = pax.sparse.path ?? longPath ?? pax.path ?? header.path
                linkTarget = longTarget ?? pax.linkTarget ?? header.linkTarget
                type = header.type
                modified = pax.mtime
                return
            }
            let size = Int(clamping: try TarNumber.size(header.numbers().size))
            let payload = try take(size)
            _ = try take(min(NewTarEntry.padding(after: size), bytes.count - position))
            switch header.type {
            case UInt8(ascii: "L"): longPath = Array(payload.untilNUL)
            case UInt8(ascii: "K"): longTarget = Array(payload.untilNUL)
            case UInt8(ascii: "g"): break
            default: pax = try TarPaxRecords(payload)
            }
        }
    }
}
