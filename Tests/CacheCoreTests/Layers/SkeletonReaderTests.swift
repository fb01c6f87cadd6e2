import CacheCore
import NIOCore
import TestSupport
import Testing

/// A skeleton may come from a hostile manifest: it must not crash, hang, or fill the memory.
@Suite struct SkeletonReaderTests {
    private static let magic: [UInt8] = Array("LCSK".utf8) + [1]

    private static func varint(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    /// Reads all of `skeleton`; returns the literal bytes and runs, or throws. Gives up after `most` literal bytes.
    private static func readAll(_ skeleton: [UInt8], piece: Int = .max, most: Int = 1 << 20) throws -> (
        literals: Int, runs: [DataRun]
    ) {
        var reader = SkeletonReader()
        var literal = ByteBuffer()
        var literals = 0
        var runs: [DataRun] = []
        var position = 0
        while true {
            let step = try reader.next(literal: &literal)
            #expect(literal.readableBytes <= SkeletonReader.literalBytes + 512)
            literals += literal.readableBytes
            literal.clear()
            switch step {
            case .literal: if literals > most { return (literals, runs) }
            case .data(let run): runs.append(run)
            case .needMore:
                if position == skeleton.count {
                    try reader.checkEnded()
                    return (literals, runs)
                }
                let end = min(skeleton.count, position + min(piece, skeleton.count))
                skeleton[position..<end].withUnsafeBytes { reader.append($0) }
                position = end
            case .end:
                skeleton[position...].withUnsafeBytes { reader.append($0) }
                position = skeleton.count
                _ = try reader.next(literal: &literal)
                try reader.checkEnded()
                return (literals, runs)
            }
        }
    }

    private func expectCorrupt(
        _ skeleton: [UInt8], _ code: CacheError.Code = .corrupt, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for piece in [1, 7, Int.max] {
            let error = #expect(throws: CacheError.self, sourceLocation: sourceLocation) {
                try Self.readAll(skeleton, piece: piece)
            }
            #expect(error?.code == code, sourceLocation: sourceLocation)
        }
    }

    /// The bytes that docs and other implementations rely on.
    @Test func knownBytes() throws {
        var tar = TarBuilder()
        tar.header("abc", size: 5)
        tar.content(Array("hello".utf8))
        tar.header("abd", size: 5)
        tar.content(Array("world".utf8))
        let layer = try expectRoundTrip(tar.finished())
        let second: [UInt8] = [
            // A block of class header with the checksum computed, three bytes of edits: two stay, one follows.
            0xE3, 0x01, 2, 2, UInt8(ascii: "d"),
            // Five bytes of content at the place where one expects them, padded.
            0xB4, 0x01,
            // 1,024 zeros, the end of 3,072 bytes.
            0x82, 0x40, 0x80, 0xC0, 0x01,
        ]
        #expect(layer.skeleton.starts(with: Self.magic))
        #expect(Array(layer.skeleton.suffix(second.count)) == second)
    }

    @Test func whatIsDamaged() {
        expectCorrupt(Array("LCSX".utf8) + [1])
        expectCorrupt(Array("LCSK".utf8) + [2], .unsupported)
        expectCorrupt([])
        expectCorrupt(Self.magic)
        expectCorrupt(Self.magic + [0, 0])
        expectCorrupt(Self.magic + [0x08])
        expectCorrupt(Self.magic + [5])
        expectCorrupt(Self.magic + [UInt8](repeating: 0xFF, count: 11))
        expectCorrupt(Self.magic + [1])
        expectCorrupt(Self.magic + Self.varint(40 << 3 | 1) + [1, 2, 3])
        expectCorrupt(Self.magic + Self.varint(1 << 63 | 2))
        // Edits beyond the block, of a class that is none, cut short, or endless.
        for edits: [UInt8] in [
            [0, 255, 8], Self.varint(513) + [0], Self.varint(.max) + Self.varint(.max), [0, 20, 1], [0x80],
        ] {
            expectCorrupt(Self.magic + Self.varint(UInt64(edits.count) << 6 | 3) + edits)
        }
        expectCorrupt(Self.magic + Self.varint(0 << 6 | 3 << 3 | 3))
        expectCorrupt(Self.magic + Self.varint(1 << 40 | 3))
        // Runs of nothing, of too much, before the region, behind it, across a slot.
        expectCorrupt(Self.magic + Self.varint(4))
        expectCorrupt(Self.magic + Self.varint(UInt64(1) << 63 | 4))
        expectCorrupt(Self.magic + Self.varint(9 << 5 | 1 << 3 | 4) + [1, 0])
        expectCorrupt(Self.magic + Self.varint(9 << 5 | 1 << 3 | 4) + Self.varint(.max - 1) + [0])
        expectCorrupt(Self.magic + Self.varint(9 << 5 | 1 << 3 | 4) + [2] + Self.varint(128))
        expectCorrupt(Self.magic + Self.varint(9000 << 5 | 1 << 3 | 4) + [2] + Self.varint(127))
    }

    @Test func hugeClaimsCostNoMemory() throws {
        // 2^57 zeros, then nothing: the reader hands them out piece by piece, and never ends.
        let zeros = Self.magic + Self.varint(1 << 60 | 2)
        #expect(try Self.readAll(zeros, most: 1 << 20).literals > 1 << 20)
    }

    @Test func fuzz() throws {
        var random = SeededGenerator()
        var tar = TarBuilder()
        for number in 0..<60 {
            if number % 5 == 0 { tar.pax("mtime", "\(number).5") }
            tar.file("dir/file\(number)", random.bytes(number * 97))
        }
        let skeleton = try expectRoundTrip(tar.finished()).skeleton
        for _ in 0..<1500 {
            var damaged = skeleton
            for _ in 0...Int.random(in: 0..<3, using: &random) {
                let position = Int.random(in: 0..<damaged.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: damaged[position] = .random(in: 0...255, using: &random)
                case 1: damaged.insert(.random(in: 128...255, using: &random), at: position)
                default: damaged.remove(at: position)
                }
            }
            do {
                _ = try Self.readAll(damaged, piece: Int.random(in: 1...500, using: &random))
            } catch let error as CacheError {
                #expect([.corrupt, .unsupported].contains(error.code), "seed \(random.seed)")
            }
        }
    }
}
