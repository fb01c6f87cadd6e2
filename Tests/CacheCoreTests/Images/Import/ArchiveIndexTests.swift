import CacheCore
import Foundation
import TestSupport
import Testing

/// Outer archives in the dialects and forms that programs write them in; `tar` and Python make them.
@Suite struct ArchiveIndexTests {
    private func index(_ fixture: ImportFixture, _ name: String = "a.tar") throws -> ArchiveIndex {
        try ArchiveIndex(try OpenFile.open(fixture(name)).wholeRange(), limits: ImportLimits())
    }

    private func bytes(_ range: FileRange?) throws -> [UInt8] { try #require(range).readAll(atMost: .max) }

    /// The same members, however their names are written.
    @Test(arguments: ["", "./", "/", "./x/../", "//", "../", "y//../"])
    func namesOfMembers(_ prefix: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            with tarfile.open('a.tar', 'w') as t:
                for name in ('top', 'd/inner', 'caf\\u00e9'):
                    i = tarfile.TarInfo('\(prefix)' + name); i.size = 5; t.addfile(i, io.BytesIO(b'right'))
                for name, kind, target in (('hard', tarfile.LNKTYPE, '\(prefix)d/inner'), ('d/soft', tarfile.SYMTYPE, \
            './inner'),
                        ('e/up', tarfile.SYMTYPE, '../d/inner'), ('abs', tarfile.SYMTYPE, '/d/inner')):
                    i = tarfile.TarInfo('\(prefix)' + name); i.type = kind; i.linkname = target; t.addfile(i)
            """)
        let index = try index(fixture)
        for name in ["top", "d/inner", "hard", "d/soft", "e/up", "abs", "caf\u{E9}"] {
            #expect(try bytes(index.find(name)) == Array("right".utf8), "\(name)")
        }
        #expect(try index.find("inner") == nil)
        #expect(try index.find("d") == nil)
        // Another spelling of the same letter is another name.
        #expect(try index.find("cafe\u{301}") == nil)
    }

    @Test func headersOfAllKinds() throws {
        var tar = TarBuilder()
        tar.header("sum\u{EF}", size: 3, checksum: .signed)
        tar.content([1, 2, 3])
        // Sizes of what has no content are passed over; so is what says nothing.
        tar.header("dir", type: "5", size: 4096)
        tar.header("link", type: "1", size: 3, link: "sum\u{EF}")
        tar.header("V", type: "V")
        tar.pax([("path", Array("no".utf8))], type: "g")
        tar.header("name", size: 1, magic: "ustar 00", fields: [345: Array("prefix".utf8)])
        tar.content([4])
        tar.header("name", size: 1, fields: [345: Array("prefix".utf8)])
        tar.content([5])
        tar.pax([("size", Array("2".utf8)), ("path", Array("pax".utf8))])
        tar.header("other", size: 0)
        tar.content([6, 7])
        tar.file("pax2", [8])
        tar.file("twice", [9])
        tar.file("./twice", [10])
        let fixture = try ImportFixture()
        try Data(tar.finished()).write(to: URL(fileURLWithPath: fixture("a.tar")))
        let index = try index(fixture)
        for (name, content) in [
            ("link", [1, 2, 3]), ("name", [4]), ("prefix/name", [5]), ("pax", [6, 7]), ("pax2", [8]), ("twice", [10]),
        ] as [(String, [UInt8])] {
            #expect(try bytes(index.find(name)) == content, "\(name)")
        }
    }

    /// Every form in which GNU tar stores what has holes; each member is read at any place.
    @Test(arguments: [
        "--format=gnu", "--format=posix --sparse-version=0.0", "--format=posix --sparse-version=0.1",
        "--format=posix --sparse-version=1.0",
    ])
    func sparseMembers(_ form: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            os.mkdir('in')
            for name, size, places in (('hole', 300000, []), ('few', 300001, [0, 65536]), ('many', 1000000, \
            range(8192, 900000, 16384)), ('end', 200000, [196608])):
                with open('in/' + name, 'wb') as f:
                    for p in places: f.seek(p); f.write(os.urandom(min(4096, size - p)))
                    f.truncate(size)
            open('in/plain', 'wb').write(b'plain')
            """)
        try fixture.shell("tar \(form) -S -C in -cf a.tar .")
        try #require(fileBytes(fixture("a.tar")).count < 500_000, "the file system does not tell where holes are")
        let index = try index(fixture)
        var random = SeededGenerator()
        for name in ["hole", "few", "many", "end", "plain"] {
            let expected = try fileBytes(fixture("in/\(name)"))
            let range = try #require(try index.find(name))
            #expect(range.size == expected.count)
            let isSame = try bytes(range) == expected
            #expect(isSame, "\(form), \(name)")
            for _ in 0..<200 {
                let position = Int.random(in: 0...expected.count, using: &random)
                var buffer = [UInt8](repeating: 0xEE, count: Int.random(in: 1...20_000, using: &random))
                let count = try buffer.withUnsafeMutableBytes { try range.read(into: $0, at: position) }
                #expect((count > 0) == (position < expected.count))
                let isRight = buffer[..<count] == expected[position..<position + count]
                #expect(isRight, "\(form), \(name) at \(position), seed \(random.seed)")
            }
        }
    }

    /// A map of any length takes no memory while it is not asked for.
    @Test func sparseMembersOfManySegments() throws {
        var tar = TarBuilder()
        let count = 40_000
        let map = "\(count)\n" + (0..<count).map { "\($0 * 2)\n1\n" }.joined()
        var content = Array(map.utf8)
        content += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
        content += [UInt8](repeating: 7, count: count)
        tar.pax([
            ("GNU.sparse.major", [0x31]), ("GNU.sparse.minor", [0x30]), ("GNU.sparse.name", Array("real".utf8)),
            ("GNU.sparse.realsize", Array("\(2 * count)".utf8)),
        ])
        tar.header("GNUSparseFile.0/real", size: content.count)
        tar.content(content)
        tar.file("next", [1])
        let fixture = try ImportFixture()
        try Data(tar.finished()).write(to: URL(fileURLWithPath: fixture("a.tar")))
        let index = try index(fixture)
        let isRight = try bytes(index.find("real")).enumerated().allSatisfy { $1 == ($0 % 2 == 0 ? 7 : 0) }
        #expect(isRight)
        #expect(try bytes(index.find("next")) == [1])
    }

    @Test func archivesThatAreCut() throws {
        var tar = TarBuilder()
        tar.file("a", [UInt8](repeating: 1, count: 600))
        tar.pax("comment", "x")
        tar.file("b", [1])
        let fixture = try ImportFixture()
        for (count, text) in [
            (700, "inside its content"), (1112, "inside its last block"), (1600, "inside a header"),
            (2100, "inside an extended header"), (3000, "inside a header"), (3073, "inside its last block"),
        ] {
            try Data(tar.bytes[..<count]).write(to: URL(fileURLWithPath: fixture("a.tar")))
            let error = cacheError { _ = try index(fixture) }
            #expect(error?.code == .invalidInput)
            #expect(error?.message.contains(fixture("a.tar")) == true)
            #expect(error?.message.contains(text) == true, "\(count): \(error as Any)")
        }
    }

    /// A layout whose archive was made by `tar -S`: its blob is one hole nearly.
    @Test(arguments: ["--format=gnu", "--format=posix"]) func aLayoutWithASparseBlob(_ form: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode='w') as t:
                i = tarfile.TarInfo('disk'); i.size = 5000000; t.addfile(i, io.BytesIO(bytes(i.size)))
            open('layer', 'wb').write(out.getvalue())
            layout('img', [tagged(image('img', [out.getvalue()]), 't')]) if os.makedirs('img') is None else None
            """)
        try fixture.shell(
            "for b in img/blobs/sha256/*; do cp --sparse=always $b x; mv x $b; done; tar \(form) -S -C img -cf a.tar .")
        try #require(fileBytes(fixture("a.tar")).count < 500_000, "the file system does not tell where holes are")
        let image = try ImageSource.open(.ociArchive(file: fixture("a.tar"), tag: "t"))
        let isSame = try image.layers[0].open().readAll() == fileBytes(fixture("layer"))
        #expect(isSame)
    }
}
