import CacheCore
import TestSupport
import Testing

/// Archives out of a seeded generator, in dialects that all readers agree on, listed as GNU tar lists them.
@Suite struct TarListingTests {
    private struct Generator {
        var random: SeededGenerator
        var tar = TarBuilder()
        private var names: [String] = []

        init(_ random: SeededGenerator) { self.random = random }

        private mutating func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &random)] }

        private mutating func name() -> String {
            let long = Int.random(in: 0..<5, using: &random) == 0
            return "d\(Int.random(in: 0..<4, using: &random))/" + String(repeating: "n", count: long ? 95 : 1)
                + "\(Int.random(in: 0..<1000, using: &random))"
        }

        /// One entry of any kind, its fields in any of the forms that a header can have them in, described by any
        /// extended headers.
        mutating func entry() {
            let type = pick(["0", "0", "0", "\u{0}", "1", "2", "3", "4", "5", "6"] as [Character])
            var name = String(name().prefix(99))
            if type == "1", names.isEmpty { return }
            let link = type == "1" ? pick(names) : type == "2" ? "some/where" : ""
            let isFile = type == "0" || type == "\u{0}"
            if type == "5" { name += "/" }
            let content = random.bytes(isFile ? pick([0, 1, 511, 512, 513, 3000]) : 0)
            // Of a link to a file, the size says nothing. (Of others neither, but GNU tar passes over content when it
            // lists them.)
            let size = isFile ? content.count : type == "1" ? pick([0, 0, 1, 600, 70_000]) : 0
            var fields: [Int: [UInt8]] = [:]
            fields[108] = pick(["0000017\u{0}", "     17 ", "00000017", "17"]).utf8.map { $0 }
            if Bool.random(using: &random) { fields[116] = [0x80, 0, 0, 0, 0, 0, 1, 2] }
            if Bool.random(using: &random) { fields[136] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0x5F, 1, 2, 3] }
            let magic = pick(["ustar\u{0}00", "ustar  \u{0}", "", "ustar 00"])
            if magic == "ustar\u{0}00" || magic == "ustar 00" {
                if Bool.random(using: &random) { fields[345] = Array("pre/fix".utf8) }
            }
            if type == "3" || type == "4" {
                fields[329] = Array("0000001\u{0}".utf8)
                fields[337] = Array("     12\u{0}".utf8)
            }
            describe(type)
            tar.header(
                name, type: type, size: size, link: link, mode: pick([0o644, 0o7755, 0, 0o100600]), magic: magic,
                checksum: pick([.right, .right, .signed]), fields: fields)
            tar.content(content)
            if isFile, fields[345] == nil { names.append(name) }
        }

        private mutating func describe(_ type: Character) {
            if Int.random(in: 0..<3, using: &random) == 0 {
                for _ in 0..<Int.random(in: 1...2, using: &random) {
                    let long = name() + String(repeating: "/long", count: Int.random(in: 20..<60, using: &random))
                    tar.header("././@LongLink", type: "L", size: long.utf8.count + 1)
                    tar.content(Array(long.utf8) + [0])
                }
            } else if Int.random(in: 0..<3, using: &random) == 0 {
                for _ in 0..<Int.random(in: 1...2, using: &random) {
                    var records = [("mtime", Array("\(Int.random(in: 1...2_000_000_000, using: &random)).25".utf8))]
                    if Bool.random(using: &random) { records.append(("uid", Array("4000000000".utf8))) }
                    if Bool.random(using: &random) { records.append(("path", Array((name() + "/pax").utf8))) }
                    if type == "2" { records.append(("linkpath", Array("pax/link".utf8))) }
                    tar.pax(records)
                }
            }
        }
    }

    /// A line of `tar -tv`.
    private func line(_ entry: LayerEntry) -> String {
        let letters: [LayerEntry.Kind: String] = [
            .file: "-", .directory: "d", .symbolicLink: "l", .hardLink: "h", .characterDevice: "c", .blockDevice: "b",
            .fifo: "p",
        ]
        let isDevice = entry.kind == .characterDevice || entry.kind == .blockDevice
        let size = isDevice ? "\(entry.deviceMajor),\(entry.deviceMinor)" : "\(entry.size)"
        let target = String(decoding: entry.linkTarget, as: UTF8.self)
        let suffix = entry.kind == .symbolicLink ? " -> \(target)" : entry.kind == .hardLink ? " link to \(target)" : ""
        return
            "\(letters[entry.kind] ?? "?") \(String(entry.permissions.mode, radix: 8)) "
            + "\(entry.permissions.uid)/\(entry.permissions.gid) \(size) "
            + "\(entry.modificationTime.seconds) \(entry.displayPath)\(suffix)"
    }

    /// The same of what `tar -tv` prints: letters for the mode, and a date.
    private static let rewrite = """
        import calendar, re, sys, time
        for line in sys.stdin:
            mode, owner, size, day, clock, rest = line.rstrip('\\n').split(None, 5)
            bits = 0
            for i, letter in enumerate(mode[1:]):
                if letter not in '-ST': bits |= 0o400 >> i
                if letter in 'sStT': bits |= {2: 0o4000, 5: 0o2000, 8: 0o1000}[i]
            seconds = calendar.timegm(time.strptime(day + ' ' + clock.split('.')[0], '%Y-%m-%d %H:%M:%S'))
            print(mode[0], '%o' % bits, owner, size, seconds, rest)
        """

    @Test func generatedArchives() throws {
        let tree = try TemporaryDirectory()
        let random = SeededGenerator()
        for round in 0..<20 {
            var generator = Generator(SeededGenerator(seed: random.seed &+ UInt64(round)))
            for _ in 0..<60 { generator.entry() }
            let tar = generator.tar.finished()
            try tree.write("out.tar", tar)
            try tree.write("rewrite.py", Array(Self.rewrite.utf8))
            let listing = try tree.shell(
                "tar -tvf out.tar --numeric-owner --full-time --quoting-style=literal | python3 rewrite.py")
            let expected = listing.split(separator: "\n").map(String.init)
            let found = try expectRoundTrip(tar, "seed \(random.seed), round \(round)").entries().map(line)
            #expect(found.count == expected.count, "seed \(random.seed), round \(round)")
            for (found, expected) in zip(found, expected) {
                #expect(found == expected, "seed \(random.seed), round \(round)")
            }
        }
    }

    /// Every length that a whole archive can be cut to: an error, or the entries before the cut.
    @Test func archivesThatAreCutAnywhere() throws {
        var tar = TarBuilder()
        tar.file("a", [UInt8](repeating: 1, count: 700))
        tar.header("././@LongLink", type: "L", size: 5)
        tar.content(Array("long\u{0}".utf8))
        tar.pax("mtime", "5")
        tar.header("b", type: "1", size: 700, link: "a")
        tar.pax([
            ("GNU.sparse.major", [0x31]), ("GNU.sparse.minor", [0x30]), ("GNU.sparse.realsize", Array("900".utf8)),
        ])
        tar.header("c", size: 513)
        tar.content(Array("1\n5\n1\n".utf8) + [UInt8](repeating: 0, count: 506) + [9])
        let whole = tar.finished()
        // Where an entry could begin: after a header that has nothing after it, after content and its last block.
        let ends = [0, 1536, 2560, 3584, 4096, 5120, 6656, 7168]
        #expect(whole.count == 7680)
        for count in 0..<whole.count where count % 512 < 3 || count % 512 > 509 || count % 64 == 0 {
            do {
                let entries = try SplitLayer(PieceSource(Array(whole[..<count]))).entries()
                #expect(ends.contains(count), "cut at \(count)")
                #expect(entries.count == [1536, 4096, 6656].count { $0 <= count }, "cut at \(count)")
            } catch let error as CacheError {
                #expect(error.code == .invalidInput, "cut at \(count): \(error)")
                #expect(!ends.contains(count), "cut at \(count): \(error)")
            }
        }
    }
}
