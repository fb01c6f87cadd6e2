import CacheCore
import TestSupport
import Testing

@Suite struct EntryTableReaderTests {
    private static let magic: [UInt8] = Array("LCET".utf8) + [1]

    private static func readAll(_ table: [UInt8], piece: Int = .max) throws -> [LayerEntry] {
        var reader = EntryTableReader()
        var entries: [LayerEntry] = []
        var position = 0
        while true {
            switch try reader.next() {
            case .entry(let entry): entries.append(entry)
            case .needMore:
                if position == table.count {
                    try reader.checkEnded()
                    return entries
                }
                let end = min(table.count, position + min(piece, table.count))
                table[position..<end].withUnsafeBytes { reader.append($0) }
                position = end
            case .end:
                table[position...].withUnsafeBytes { reader.append($0) }
                position = table.count
                _ = try reader.next()
                try reader.checkEnded()
                return entries
            }
        }
    }

    private func expectCorrupt(
        _ table: [UInt8], _ code: CacheError.Code = .corrupt, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for piece in [1, 7, Int.max] {
            let error = #expect(throws: CacheError.self, sourceLocation: sourceLocation) {
                try Self.readAll(table, piece: piece)
            }
            #expect(error?.code == code, sourceLocation: sourceLocation)
        }
    }

    /// The bytes that docs and other implementations rely on.
    @Test func knownBytes() throws {
        var tar = TarBuilder()
        tar.header("d/abc", size: 5, mtime: 100)
        tar.content(Array("hello".utf8))
        tar.header("d/abd", type: "2", link: "abc", mtime: 99)
        let layer = try expectRoundTrip(tar.finished())
        #expect(
            layer.entryTable == Self.magic
                // 17 bytes: a file with owners, a path of five bytes, mode 0o644, uid 1000, gid 1001, mtime 100, five
                // bytes at the start.
                + [17, 0x11, 0, 5] + Array("d/abc".utf8) + [0xA4, 0x03, 0xE8, 0x07, 0xE9, 0x07, 0xC8, 0x01, 5]
                // 15 bytes: a link, four bytes of the path as before, owners, a second earlier, its target.
                + [15, 0x13, 4, 1, UInt8(ascii: "d"), 0xA4, 0x03, 0xE8, 0x07, 0xE9, 0x07, 1, 3] + Array("abc".utf8)
                + [0, 2])
    }

    @Test func whatIsDamaged() {
        let file: [UInt8] = [5, 0x01, 0, 1, 97, 0]
        expectCorrupt(Array("LCEX".utf8) + [1])
        expectCorrupt(Array("LCET".utf8) + [9], .unsupported)
        expectCorrupt([])
        expectCorrupt(Self.magic)
        expectCorrupt(Self.magic + [0, 1])
        expectCorrupt(Self.magic + [0, 0, 0])
        expectCorrupt(Self.magic + file)
        expectCorrupt(Self.magic + [6, 0x01, 0, 1, 0, 0, 0])
        expectCorrupt(Self.magic + [6, 0x01, 1, 1, 97, 0, 0])
        expectCorrupt(Self.magic + [6, 0x00, 0, 1, 97, 0, 0])
        expectCorrupt(Self.magic + [6, 0x08, 0, 1, 97, 0, 0])
        expectCorrupt(Self.magic + [7, 0x01, 0, 1, 97, 0, 0, 0])
        expectCorrupt(Self.magic + [0xFF, 0xFF, 0xFF, 0x7F, 1])
        expectCorrupt(Self.magic + [12, 0x81, 0, 1, 97, 0, 0, 0, 1, 5, 0xFF, 0x7F, 0])
        expectCorrupt(Self.magic + [8, 0x81, 0, 1, 97, 0, 0, 0xFF, 0x7F])
        // A sparse map of more than is stored.
        expectCorrupt(Self.magic + [12, 0x81, 0, 1, 97, 0, 0, 0, 1, 9, 1, 2, 3])
    }

    @Test func fuzz() throws {
        var random = SeededGenerator()
        var tar = TarBuilder()
        for number in 0..<60 {
            if number % 5 == 0 {
                tar.pax([("mtime", Array("\(number).5".utf8)), ("SCHILY.xattr.user.a", random.bytes(9))])
            }
            if number % 7 == 0 {
                tar.pax([
                    ("GNU.sparse.size", Array("12000".utf8)), ("GNU.sparse.numblocks", [0x31]),
                    ("GNU.sparse.map", Array("4096,\(number * 97)".utf8)),
                ])
            }
            tar.file("dir\(number / 9)/file\(number)", random.bytes(number * 97))
        }
        let table = try expectRoundTrip(tar.finished()).entryTable
        for _ in 0..<1500 {
            var damaged = table
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
