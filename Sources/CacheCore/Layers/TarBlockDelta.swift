/// The blocks of 512 bytes of which a tar consists beside the contents of files. Raw values are part of the format.
enum TarBlockClass: UInt8, CaseIterable {
    /// The header of an entry.
    case header = 0
    /// The header of an extended header (`x`, `g`, `L`, `K`).
    case extendedHeader = 1
    /// A block of what an extended header holds, or of a sparse map.
    case metadata = 2
}

/// A block of a tar as its difference from the block before it of the same class, which starts as zeros.
///
/// The difference is a list of edits: how many bytes stay, `count << 1 | zero`, and `count` new bytes unless they are
/// all zero. A checksum written the usual way is not stored but computed.
struct TarBlockDelta {
    private var previous = [UInt8](repeating: 0, count: TarBlockClass.allCases.count * TarBlock.byteCount)

    // MARK: Writing

    /// Appends the edits that make `block` of its predecessor, and remembers it.
    /// - Returns: whether the reader is to compute the checksum.
    mutating func encode(_ block: UnsafeRawBufferPointer, _ kind: TarBlockClass, to edits: inout [UInt8]) -> Bool {
        previous.withUnsafeMutableBytes { all in
            let base = Self.slice(kind, of: all)
            let computed = kind != .metadata && TarBlock.hasUsualChecksum(block)
            if computed { TarBlock.copyChecksum(from: block, to: base) }
            Self.appendEdits(from: UnsafeRawBufferPointer(base), to: block, &edits)
            base.copyMemory(from: block)
            return computed
        }
    }

    private static func appendEdits(
        from base: UnsafeRawBufferPointer, to block: UnsafeRawBufferPointer, _ edits: inout [UInt8]
    ) {
        var done = 0
        while true {
            let begin = TarBlock.firstDifference(base, block, from: done)
            if begin == TarBlock.byteCount { return }
            var end = begin + 1
            while end < TarBlock.byteCount {
                let next = TarBlock.firstDifference(base, block, from: end)
                // An edit costs two bytes: it does not pay to leave out fewer than three.
                if next == TarBlock.byteCount || next - end > 2 { break }
                end = next + 1
            }
            var text = end
            while text > begin, block[text - 1] == 0 { text -= 1 }
            if end - text < 3, text > begin { text = end }
            if text > begin {
                edits.appendVarint(UInt64(begin - done))
                edits.appendVarint(UInt64(text - begin) << 1)
                edits.append(UnsafeRawBufferPointer(rebasing: block[begin..<text]))
                done = text
            }
            if end > text {
                edits.appendVarint(UInt64(text - done))
                edits.appendVarint(UInt64(end - text) << 1 | 1)
            }
            done = end
        }
    }

    // MARK: Reading

    /// Applies hostile `edits` to the last block of this class and hands the new one to `body`.
    mutating func decode(
        _ edits: UnsafeRawBufferPointer, _ kind: TarBlockClass, computesChecksum: Bool,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws {
        try previous.withUnsafeMutableBytes { all in
            let block = Self.slice(kind, of: all)
            var cursor = VarintCursor(edits)
            var position = 0
            while cursor.remaining > 0 {
                guard let skip = try cursor.unsigned(), let length = try cursor.unsigned(),
                    skip <= UInt64(block.count - position),
                    length >> 1 <= UInt64(block.count - position) - skip
                else { throw VarintCursor.Malformed("an edit beyond its block") }
                position += Int(skip)
                let count = Int(length >> 1)
                let target = UnsafeMutableRawBufferPointer(rebasing: block[position..<position + count])
                if length & 1 == 1 {
                    target.initializeMemory(as: UInt8.self, repeating: 0)
                } else {
                    guard let bytes = cursor.take(count) else {
                        throw VarintCursor.Malformed("an edit without its bytes")
                    }
                    target.copyMemory(from: bytes)
                }
                position += count
            }
            if computesChecksum { TarBlock.writeUsualChecksum(to: block) }
            body(UnsafeRawBufferPointer(block))
        }
    }

    private static func slice(
        _ kind: TarBlockClass, of all: UnsafeMutableRawBufferPointer
    ) -> UnsafeMutableRawBufferPointer {
        let begin = Int(kind.rawValue) * TarBlock.byteCount
        return UnsafeMutableRawBufferPointer(rebasing: all[begin..<begin + TarBlock.byteCount])
    }
}
