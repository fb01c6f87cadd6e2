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

    /// Who owns what belongs to nobody that Linux knows: its "overflow" user and group.
    private static let nobody: UInt32 = 65534

    /// User and group numbers have 32 bits; negative ones are those of systems that count them as signed. One beyond that is no reason to
    /// refuse a layer, whose bytes are kept whatever they say; it must not become another's, or root's, by losing its upper bits.
    static func owner(_ value: Int64) -> UInt32 { (try? identifier(value, "")) ?? nobody }

    /// A device number.
    static func identifier(_ value: Int64, _ name: String) throws -> UInt32 {
        guard value >= Int64(Int32.min), value <= Int64(UInt32.max) else {
            throw TarFault("a \(name) of \(value), which no system has")
        }
        return UInt32(truncatingIfNeeded: value)
    }
}

/// Decimal numbers in pax records and sparse maps.
enum TarDecimal {
    /// The number at the front of `bytes`, at least one digit, and how many digits it has; it must be followed by `end`, or may also
    /// end with the bytes where that is `nil` or a decimal point.
    static func parse(_ bytes: UnsafeRawBufferPointer, end: UInt8?) -> (value: UInt64, digits: Int)? {
        var value: UInt64 = 0
        var digits = 0
        while digits < bytes.count, bytes[digits] >= 0x30, bytes[digits] <= 0x39 {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(bytes[digits] - 0x30))
            guard !overflow, !carry else { return nil }
            value = sum
            digits += 1
        }
        guard digits > 0 else { return nil }
        if digits < bytes.count { return bytes[digits] == end ? (value, digits) : nil }
        return end == nil || end == UInt8(ascii: ".") ? (value, digits) : nil
    }
}
