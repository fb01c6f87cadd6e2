import CacheCore
import TestSupport
import Testing

/// Archives out of a seeded generator, and real ones with bytes flipped, cut and put in: the same bytes come back or a
/// clear error does.
@Suite struct TarRandomTests {
    private static func randomTar(_ random: inout SeededGenerator) -> [UInt8] {
        var tar = TarBuilder()
        let types: [Character] = ["0", "0", "0", "0", "1", "2", "3", "5", "6", "7", "\u{0}", "S", "Z", "V"]
        for number in 0..<Int.random(in: 0..<40, using: &random) {
            let path =
                "dir\(Int.random(in: 0..<5, using: &random))/file\(number)"
                + (Bool.random(using: &random) ? ".pyc" : "")
            if Int.random(in: 0..<4, using: &random) == 0 {
                tar.pax([
                    ("mtime", Array("\(Int.random(in: -5...5, using: &random)).5".utf8)),
                    (
                        "path",
                        Array((path + String(repeating: "x", count: Int.random(in: 0..<900, using: &random))).utf8)
                    ),
                    ("SCHILY.xattr.user.a", random.bytes(Int.random(in: 0..<50, using: &random))),
                ])
            }
            if Int.random(in: 0..<8, using: &random) == 0 {
                let long = Array(String(repeating: "long/", count: Int.random(in: 1..<400, using: &random)).utf8)
                tar.header("././@LongLink", type: "L", size: long.count + 1)
                tar.content(long + [0])
            }
            let type = types.randomElement(using: &random) ?? "0"
            let isFile = type == "0" || type == "7" || type == "\u{0}" || type == "Z"
            let sizes = [0, 1, 511, 512, 513, 4095, 4096, 5000, 70_000, 524_287, 524_288, 524_289, 1_100_000]
            let size = isFile ? sizes[min(Int.random(in: 0..<26, using: &random), 25) / 2] : 0
            tar.header(
                path, type: type, size: size, link: type == "1" || type == "2" ? "target" : "",
                mtime: Int.random(in: 0..<2_000_000_000, using: &random),
                magic: type == "S" || Bool.random(using: &random) ? "ustar  \u{0}" : "ustar\u{0}00")
            tar.content(random.bytes(size))
            if Int.random(in: 0..<400, using: &random) == 0 { tar.zeros(1) }
        }
        let zeros = Int.random(in: 0..<5, using: &random)
        tar.zeros(zeros)
        // Behind an end mark there may be anything, and without one nothing.
        let hasMore = Int.random(in: 0..<(zeros < 2 ? 8 : 2), using: &random) == 0
        return tar.bytes + random.bytes(hasMore ? tar.bytes.count % 1000 : 0)
    }

    @Test func generatedArchives() throws {
        var random = SeededGenerator()
        var kept = 0
        for round in 0..<25 {
            let tar = Self.randomTar(&random)
            // Where it ends without zeros, what comes after may be no tar at all.
            do {
                try expectRoundTrip(
                    tar, piece: Int.random(in: 1...200_000, using: &random), "seed \(random.seed), round \(round)")
                kept += 1
            } catch let error as CacheError {
                #expect(error.code == .invalidInput, "seed \(random.seed), round \(round)")
            }
        }
        #expect(kept > 10, "the generator makes no archives: seed \(random.seed)")
    }

    @Test func mutatedArchives() throws {
        let tree = try TemporaryDirectory()
        try tree.shell(
            """
            mkdir -p tree/sub; cd tree; for i in 1 2 3 4 5; do head -c $((i * 700)) /dev/urandom > sub/file$i; done
            truncate -s 200000 sparse; printf x | dd of=sparse bs=4096 seek=20 conv=notrunc status=none
            ln sub/file1 hard; ln -s sub soft; printf y > \(String(repeating: "n", count: 150)); mkfifo pipe; cd ..
            tar --format=posix --sparse -cf posix.tar tree; tar --format=gnu --sparse -cf gnu.tar tree
            tar --format=posix --sparse --sparse-version=0.0 -cf sparse0.tar tree; tar --format=v7 --exclude=pipe \
            --exclude=sparse --exclude='nnn*' -cf v7.tar tree
            """)
        var random = SeededGenerator()
        var refused = 0
        var kept = 0
        for name in ["posix.tar", "gnu.tar", "sparse0.tar", "v7.tar"] {
            let original = try tree.bytes(name)
            for round in 0..<80 {
                var tar = original
                for _ in 0...Int.random(in: 0..<3, using: &random) { Self.mutate(&tar, &random) }
                do {
                    try expectRoundTrip(tar, "seed \(random.seed), \(name), round \(round)")
                    kept += 1
                } catch let error as CacheError {
                    let isClear = error.code == .invalidInput || error.code == .limitExceeded
                    #expect(isClear, "\(error), seed \(random.seed), \(name), round \(round)")
                    refused += 1
                }
            }
        }
        #expect(refused > 20, "the mutations test nothing: seed \(random.seed)")
        #expect(kept > 20, "the mutations test nothing: seed \(random.seed)")
    }

    private static func mutate(_ tar: inout [UInt8], _ random: inout SeededGenerator) {
        guard tar.count > 512 else { return }
        let position = Int.random(in: 0..<tar.count, using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: tar[position] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: tar.removeSubrange(position...)
        case 2: tar.insert(contentsOf: random.bytes(Int.random(in: 1..<600, using: &random)), at: position)
        case 3: tar.removeSubrange(position..<min(tar.count, position + 512))
        case 4: tar.insert(contentsOf: tar[(position / 512 * 512)...].prefix(512), at: position / 512 * 512)
        case 5: tar.insert(contentsOf: [UInt8](repeating: 0, count: 512), at: position / 512 * 512)
        default:
            // A field of a header, with the checksum put right again: this gets past the first door.
            let block = position / 512 * 512
            guard block + 512 <= tar.count else { return }
            let field =
                [100, 108, 116, 124, 136, 156, 157, 257, 345, 386, 482, 483].randomElement(using: &random) ?? 124
            for index in 0..<Int.random(in: 1...8, using: &random) {
                tar[block + field + index] =
                    [0, 0x20, 0x30, 0x37, 0x39, 0x80, 0xFF, .random(in: 0...255, using: &random)]
                    .randomElement(using: &random) ?? 0
            }
            tar.replaceSubrange(block + 148..<block + 156, with: [UInt8](repeating: 0x20, count: 8))
            let sum = String(tar[block..<block + 512].reduce(0) { $0 + Int($1) }, radix: 8)
            tar.replaceSubrange(
                block + 148..<block + 156,
                with: Array((String(repeating: "0", count: 6 - sum.count) + sum).utf8) + [0, 0x20])
        }
    }
}
