/// Numbers as tar headers hold them.
enum TarNumber {
    /// No file is longer; sums of such sizes do not overflow.
    static let largestSize: Int64 = 1 << 59

    /// Octal digits, or GNU's base 256, which has the highest bit set. What fields of headers hold but the checksum.
    static func parse(_ field: UnsafeRawBufferPointer) throws -> Int64 {
        if let first = field.first, first & 0x80 != 0 { return try base256(field) }
        return try octal(field)
    }

    /// Octal digits with any number of blanks and NULs around them; nothing at all is 0. What follows on the digits and
    /// a NUL is not looked at, but nothing else may, as Go's reader has it.
    static func octal(_ field: UnsafeRawBufferPointer) throws -> Int64 {
        var end = field.count
        while end > 0, isFiller(field[end - 1]) { end -= 1 }
        var position = 0
        while position < end, isFiller(field[position]) { position += 1 }
        var value: Int64 = 0
        while position < end, field[position] != 0 {
            // Twelve digits at most: 36 bits.
            guard field[position] >= 0x30, field[position] <= 0x37 else { throw TarFault("a malformed number") }
            value = value << 3 | Int64(field[position] - 0x30)
            position += 1
        }
        return value
    }

    private static func isFiller(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0 }

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

    /// Linux's "overflow" user and group, which stands for a number that it cannot represent.
    private static let overflowOwner: UInt32 = 65534

    /// User and group numbers have 32 bits; negative ones are those of systems that count them as signed. One beyond
    /// that is no reason to refuse a layer, whose bytes are kept whatever they say; it must not become another's, or
    /// root's, by losing its upper bits.
    static func owner(_ value: Int64) -> UInt32 { (try? identifier(value, "")) ?? overflowOwner }

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
    /// The number that `text` is, digits with or without a sign; `nil` if it is anything else, or beyond 64 bits.
    static func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
        let isNegative = text.first == UInt8(ascii: "-")
        let hasSign = isNegative || text.first == UInt8(ascii: "+")
        guard text.count > (hasSign ? 1 : 0) else { return nil }
        var value: Int64 = 0
        for byte in text[(hasSign ? 1 : 0)...] {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let digit = Int64(byte - 0x30)
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            // Towards the sign: the lowest number has no positive counterpart.
            let (sum, carry) =
                isNegative ? tens.subtractingReportingOverflow(digit) : tens.addingReportingOverflow(digit)
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }
}
