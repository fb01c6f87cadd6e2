import CacheCore
import TestSupport
import Testing

/// Archives that are odd but legal to someone: the same bytes come back, and the entry table says what most readers
/// would.
@Suite struct TarOddityTests {
    private func paths(_ layer: SplitLayer) throws -> [String] { try layer.entries().map(\.displayPath) }

    @Test func emptyArchives() throws {
        let none = try expectRoundTrip([])
        #expect(none.summary.slots == [0, 0, 0])
        for count in [512, 1024, 1025, 10240, 1_000_001] {
            let layer = try expectRoundTrip([UInt8](repeating: 0, count: count))
            #expect(layer.summary.entryCount == 0)
            #expect(layer.summary.slots == [0, 1, 0])
            #expect(layer.skeleton.count < 40)
        }
    }

    @Test func endsOfAllKinds() throws {
        var tar = TarBuilder()
        tar.file("a", Array("hello".utf8))
        tar.file("b", [UInt8](repeating: 7, count: 1024))
        var random = SeededGenerator(seed: 1)
        let garbage = random.bytes(3000)
        let much = random.bytes(900_001)
        let zeros = [UInt8](repeating: 0, count: 1024)
        let endings: [[UInt8]] = [
            [], Array(zeros[..<512]), zeros, zeros + [0, 0, 0], zeros + garbage,
            zeros + zeros + garbage + zeros + garbage, zeros + much + zeros,
        ]
        for (index, ending) in endings.enumerated() {
            let layer = try expectRoundTrip(tar.bytes + ending, "ending \(index)")
            #expect(try paths(layer) == ["a", "b"], "ending \(index)")
        }
        let long = try expectRoundTrip(tar.bytes + zeros + much)
        #expect(long.skeleton.count < 100_000, "long garbage belongs to the data region")
    }

    @Test func archivesAfterTheEndAreKeptButNotListed() throws {
        var first = TarBuilder()
        first.file("first", [1, 2, 3])
        var second = TarBuilder()
        second.file("second", [4, 5, 6])
        let layer = try expectRoundTrip(first.finished() + second.finished())
        #expect(try paths(layer) == ["first"])
    }

    @Test func paddingMayBeAnything() throws {
        var tar = TarBuilder()
        tar.header("a", size: 5)
        tar.bytes += Array("hello".utf8) + [UInt8](repeating: 0xEE, count: 507)
        tar.file("b", [1])
        let layer = try expectRoundTrip(tar.finished())
        #expect(try paths(layer) == ["a", "b"])
        #expect(try layer.content(of: layer.entries()[0]) == Array("hello".utf8))
    }

    /// GNU tar and Go's reader say nothing about it either.
    @Test func descriptionsOfNothing() throws {
        for ending in [[], [UInt8](repeating: 0, count: 1024)] {
            var tar = TarBuilder()
            tar.file("a", [1])
            tar.pax("path", "nothing")
            #expect(try paths(expectRoundTrip(tar.bytes + ending)) == ["a"])
        }
    }

    @Test func sizesOfWhatHasNoContentAreIgnored() throws {
        for type in "123456" {
            for size in ["4096", "-1", "99999999999999"] {
                var tar = TarBuilder()
                tar.header("odd", type: type, size: 4096, link: "target")
                tar.pax("size", size)
                tar.header("odder", type: type, link: "target")
                tar.header("negative", type: type, link: "target", fields: [124: [UInt8](repeating: 0xFF, count: 12)])
                tar.file("next", [9])
                let layer = try expectRoundTrip(tar.finished(), "type \(type)")
                #expect(try paths(layer) == ["odd", "odder", "negative", "next"], "type \(type)")
                #expect(try layer.entries().prefix(3).allSatisfy { $0.size == 0 && $0.content == nil })
            }
        }
    }

    /// A list of names, which is no file's content.
    @Test func directoriesOfIncrementalArchivesHaveContent() throws {
        var tar = TarBuilder()
        tar.header("dir/", type: "D", size: 700)
        tar.content([UInt8](repeating: 65, count: 700))
        tar.file("next", [9])
        let layer = try expectRoundTrip(tar.finished())
        #expect(try paths(layer) == ["dir/", "next"])
        #expect(try layer.entries()[0].content == nil)
        #expect(try layer.entries()[0].kind == .directory)
    }

    @Test func unknownTypesAreFiles() throws {
        var tar = TarBuilder()
        for type in "7Zz9A" {
            tar.header("type\(type)", type: type, size: 3)
            tar.content([1, 2, 3])
        }
        tar.header("old", type: "\u{0}", size: 1, magic: "")
        tar.content([5])
        tar.header("olddir/", type: "\u{0}", magic: "")
        let layer = try expectRoundTrip(tar.finished())
        let entries = try layer.entries()
        #expect(entries.map(\.kind) == [.file, .file, .file, .file, .file, .file, .directory])
        #expect(try entries.prefix(5).allSatisfy { try layer.content(of: $0) == [1, 2, 3] })
    }

    @Test func labelsAndVolumesAreNoEntries() throws {
        var tar = TarBuilder()
        tar.header("a label", type: "V")
        tar.header("rest of a file", type: "M", size: 1000)
        tar.content([UInt8](repeating: 3, count: 1000))
        tar.file("a", [1])
        #expect(try paths(expectRoundTrip(tar.finished())) == ["a"])
    }

    @Test func checksumsOfAllKinds() throws {
        var tar = TarBuilder()
        tar.header("na\u{EF}ve", checksum: .signed)
        tar.header("plain")
        var block = Array(tar.bytes[512...])
        // Seven digits without the blank, and blanks in front, as some programs write it.
        let sum = block[148..<154]
        block.replaceSubrange(148..<156, with: [0x30] + sum + [0])
        let seven = block
        block.replaceSubrange(
            148..<156, with: [0x20, 0x20] + sum.drop { $0 == 0x30 } + [UInt8](repeating: 0, count: 6))
        block.removeSubrange(512...)
        let layer = try expectRoundTrip(tar.bytes + seven + block + [UInt8](repeating: 0, count: 1024))
        #expect(layer.summary.entryCount == 4)
    }

    @Test func numbersInBase256AndPax() throws {
        var tar = TarBuilder()
        let minusOne = [UInt8](repeating: 0xFF, count: 12)
        tar.header("a", fields: [136: minusOne, 108: [0x80, 0, 0, 0, 0xB2, 0xD0, 0x5E, 0]])
        tar.header("b", size: 0, fields: [124: [0x80] + [UInt8](repeating: 0, count: 9) + [2, 1]])
        tar.content([UInt8](repeating: 1, count: 513))
        tar.pax([
            ("size", Array("3".utf8)), ("mtime", Array("-1.25".utf8)), ("uid", Array("4294967295".utf8)),
            ("path", Array("p/q".utf8)),
        ])
        tar.header("c", size: 7)
        tar.content([1, 2, 3])
        let entries = try expectRoundTrip(tar.finished()).entries()
        #expect(entries.map(\.displayPath) == ["a", "b", "p/q"])
        #expect(entries.map(\.modificationTime.seconds) == [-1, 1_700_000_000, -2])
        #expect(entries.map(\.modificationTime.nanoseconds) == [0, 0, 750_000_000])
        #expect(entries.map(\.permissions.uid) == [3_000_000_000, 1000, .max])
        #expect(entries.map(\.size) == [0, 513, 3])
    }

    @Test func extendedAttributesOfBothWriters() throws {
        var tar = TarBuilder()
        let capability: [UInt8] = [1, 0, 0, 2, 0, 0x0A, 0x3D, 0xFF]
        tar.pax([
            ("SCHILY.xattr.security.capability", capability), ("LIBARCHIVE.xattr.user.a%3Db", Array("aGVsbG8".utf8)),
            ("LIBARCHIVE.xattr.security.capability", Array("AAAA".utf8)), ("comment", [1, 2, 3]),
        ])
        tar.file("a", [1])
        tar.file("b", [1])
        let entries = try expectRoundTrip(tar.finished()).entries()
        #expect(
            entries[0].xattrs == [
                LayerEntry.ExtendedAttribute(name: Array("security.capability".utf8), value: capability),
                LayerEntry.ExtendedAttribute(name: Array("user.a=b".utf8), value: Array("hello".utf8)),
            ])
        #expect(entries[1].xattrs.isEmpty)
    }

    /// No other reader uses them, so they can do no harm.
    @Test func malformedAttributesOfLibarchiveAreLeftOut() throws {
        for (key, value) in [("a", "*"), ("a%4", "aa"), ("a%00", "aa")] {
            var tar = TarBuilder()
            tar.pax("LIBARCHIVE.xattr.\(key)", value)
            tar.file("f", [1])
            #expect(try expectRoundTrip(tar.finished()).entries()[0].xattrs.isEmpty)
        }
    }
}
