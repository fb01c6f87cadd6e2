// Numbers in the skeleton and the entry table: unsigned LEB128, seven bits a byte, lowest first, at most ten bytes;
// signed ones are folded to unsigned first (0, -1, 1, -2, ... become 0, 1, 2, 3, ...).

extension [UInt8] {
    mutating func appendVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func appendVarint(signed value: Int64) {
        appendVarint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        append(contentsOf: bytes)
    }
}

/// Reads hostile bytes from front to back. A method returns `nil` where bytes are still missing: nothing may be taken
/// from a cursor after that.
struct VarintCursor {
    /// What is wrong with the bytes; the reader that owns the format makes a ``CacheError`` of it.
    struct Malformed: Error {
        let what: String
        init(_ what: String) { self.what = what }
    }

    /// The most that a number takes.
    static let mostBytes = 10

    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
    }

    var remaining: Int { bytes.count - position }

    mutating func unsigned() throws -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < bytes.count {
            let byte = bytes[position]
            position += 1
            guard shift < 63 || byte <= 1 else { throw Malformed("a number above 64 bits") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    mutating func signed() throws -> Int64? {
        guard let folded = try unsigned() else { return nil }
        return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1)
    }

    mutating func byte() -> UInt8? {
        guard position < bytes.count else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    /// The next `count` bytes, for as long as the cursor's own bytes are there.
    mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
        guard count <= remaining else { return nil }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }
}
