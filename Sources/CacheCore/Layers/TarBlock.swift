internal import Glibc

/// What can be asked of the bytes of a tar block without understanding them: a word at a time, never a byte.
enum TarBlock {
    static let byteCount = 512
    private static let checksum = 148..<156

    /// The first position from `start` where two blocks differ; 512 if there is none.
    static func firstDifference(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, from start: Int) -> Int {
        var position = start
        while position + 8 <= byteCount {
            let difference =
                UInt64(littleEndian: a.loadUnaligned(fromByteOffset: position, as: UInt64.self))
                ^ UInt64(littleEndian: b.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            if difference != 0 { return position + difference.trailingZeroBitCount / 8 }
            position += 8
        }
        while position < byteCount, a[position] == b[position] { position += 1 }
        return position
    }

    /// Whether all bytes (any number of them) are zero.
    static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return true }
        return bytes[0] == 0 && memcmp(base, base + 1, bytes.count - 1) == 0
    }

    /// How many bytes at the front are zero, rounded down to eight unless all are.
    static func leadingZeros(_ bytes: UnsafeRawBufferPointer) -> Int {
        var position = 0
        while position + 8 <= bytes.count, bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self) == 0 {
            position += 8
        }
        return isZero(UnsafeRawBufferPointer(rebasing: bytes[position...])) ? bytes.count : position
    }

    // MARK: Checksum

    /// The sum of all bytes with the checksum's own taken as blanks.
    static func sum(_ block: UnsafeRawBufferPointer) -> Int {
        // Four sums of 16 bits in one word: 64 words with two bytes each for every sum cannot overflow.
        let odd: UInt64 = 0x00FF_00FF_00FF_00FF
        var sums: UInt64 = 0
        for position in stride(from: 0, to: byteCount, by: 8) {
            let word = block.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            sums &+= (word & odd) &+ (word >> 8 & odd)
        }
        var total = Int(sums & 0xFFFF) + Int(sums >> 16 & 0xFFFF) + Int(sums >> 32 & 0xFFFF) + Int(sums >> 48)
        for position in checksum { total += 32 - Int(block[position]) }
        return total
    }

    /// As `sum`, with bytes taken as signed, as some old programs had it.
    static func signedSum(_ block: UnsafeRawBufferPointer) -> Int {
        var total = sum(block)
        for position in 0..<byteCount where block[position] >= 0x80 && !checksum.contains(position) { total -= 256 }
        return total
    }

    /// Whether the checksum is right and written as six octal digits, NUL, blank: as nearly all programs do.
    static func hasUsualChecksum(_ block: UnsafeRawBufferPointer) -> Bool {
        block.loadUnaligned(fromByteOffset: checksum.lowerBound, as: UInt64.self) == usual(sum(block))
    }

    static func writeUsualChecksum(to block: UnsafeMutableRawBufferPointer) {
        let text = usual(sum(UnsafeRawBufferPointer(block)))
        block.storeBytes(of: text, toByteOffset: checksum.lowerBound, as: UInt64.self)
    }

    static func copyChecksum(from block: UnsafeRawBufferPointer, to other: UnsafeMutableRawBufferPointer) {
        let text = block.loadUnaligned(fromByteOffset: checksum.lowerBound, as: UInt64.self)
        other.storeBytes(of: text, toByteOffset: checksum.lowerBound, as: UInt64.self)
    }

    private static func usual(_ sum: Int) -> UInt64 {
        var text: UInt64 = 0x2000 << 48
        for digit in 0..<6 {
            text |= UInt64(0x30 + (sum >> (3 * (5 - digit))) & 7) << (8 * UInt64(digit))
        }
        return UInt64(littleEndian: text)
    }
}
