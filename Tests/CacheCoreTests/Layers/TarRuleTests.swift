import CacheCore
import Testing

/// What the reader makes of headers that readers understand differently: what Go's `archive/tar` does, and so the
/// container runtimes.
@Suite struct TarRuleTests {
    private func entries(_ build: (inout TarBuilder) -> Void) throws -> [LayerEntry] {
        var tar = TarBuilder()
        build(&tar)
        tar.file("last", [1])
        let entries = try expectRoundTrip(tar.finished()).entries()
        #expect(entries.last?.displayPath == "last")
        return entries.dropLast()
    }

    // MARK: Dialects

    /// Only `ustar`, NUL is POSIX's magic, and only `ustar`, two blanks, NUL is GNU's.
    @Test(arguments: [
        ("ustar\u{0}00", "prefix/name", 5), ("ustar\u{0}  ", "prefix/name", 5),
        ("ustar\u{0}\u{0}\u{0}", "prefix/name", 5),
        ("ustar 00", "name", 0), ("ustar  0", "name", 0), ("ustar 0\u{0}", "name", 0), ("", "name", 0),
        ("USTAR\u{0}00", "name", 0), ("ustarx00", "name", 0),
    ])
    func magics(_ magic: String, _ path: String, _ major: UInt32) throws {
        let found = try entries {
            $0.header(
                "name", type: "3", magic: magic, fields: [329: Array("0000005\u{0}".utf8), 345: Array("prefix".utf8)])
        }
        #expect(found.map(\.displayPath) == [path])
        #expect(found.map(\.deviceMajor) == [major])
    }

    @Test func starHasTimesBehindAShorterPrefix() throws {
        let prefix = [UInt8](repeating: 0x70, count: 131)
        let found = try entries {
            $0.header(
                "name",
                fields: [345: prefix, 476: Array("14524550610 14524550610 ".utf8), 508: Array("tar\u{0}".utf8)])
        }
        #expect(found.map(\.path) == [prefix + Array("/name".utf8)])
    }

    /// GNU's headers have no prefix: they have times and a sparse map there.
    @Test func gnuHeadersHaveNoPrefix() throws {
        for times in ["14524550610\u{0}14524550610\u{0}", "14524550610", "\u{0}"] {
            let found = try entries {
                $0.header("name", magic: "ustar  \u{0}", fields: [345: Array(times.utf8)])
            }
            #expect(found.map(\.displayPath) == ["name"])
        }
        // But Go once wrote one there, which can be told from times.
        let found = try entries {
            $0.header("name", magic: "ustar  \u{0}", fields: [345: Array("some/where".utf8)])
        }
        #expect(found.map(\.displayPath) == ["some/where/name"])
    }

    // MARK: Kinds

    @Test func slashesAtTheEnd() throws {
        let found = try entries {
            $0.header("old/", type: "\u{0}", size: 700, magic: "")
            $0.header("file/", type: "0", size: 1)
            $0.content([7])
            $0.header("long", type: "L", size: 7)
            $0.content(Array("longer/".utf8))
            $0.header("cut", type: "\u{0}", size: 5)
            $0.header("cont/", type: "7", size: 1)
            $0.content([7])
        }
        #expect(found.map(\.displayPath) == ["old/", "file/", "longer/", "cont/"])
        #expect(found.map(\.kind) == [.directory, .file, .directory, .file])
    }

    @Test func namesAreKeptAsTheyAre() throws {
        let names = [".", "./", "/", "/a", "a/../b", "../x", "a//b", "./a/", "", "caf\u{E9}"]
        let found = try entries { tar in
            for name in names { tar.header(name, type: "5") }
        }
        #expect(found.map(\.displayPath) == names)
    }

    // MARK: Several descriptions of one entry

    @Test func theLastPaxHeaderCountsAlone() throws {
        let found = try entries {
            $0.pax([("path", Array("first".utf8)), ("uid", Array("5".utf8)), ("SCHILY.xattr.user.a", [1])])
            $0.pax([("gid", Array("6".utf8)), ("path", Array("gone".utf8)), ("path", [])])
            $0.file("name", [1])
            $0.file("other", [1])
        }
        #expect(found.map(\.displayPath) == ["name", "other"])
        #expect(found.map(\.uid) == [1000, 1000])
        #expect(found.map(\.gid) == [6, 1001])
        #expect(found.allSatisfy { $0.xattrs.isEmpty })
    }

    @Test func longNamesGoBeforePaxRecords() throws {
        let records = [("path", Array("pax".utf8)), ("linkpath", Array("paxlink".utf8))]
        for isFirst in [true, false] {
            let found = try entries {
                if isFirst { $0.pax(records) }
                for (type, name) in [("L" as Character, "L1"), ("L", "L2\u{0}junk"), ("K", "K1"), ("K", "K2")] {
                    $0.header("././@LongLink", type: type, size: name.utf8.count)
                    $0.content(Array(name.utf8))
                }
                if !isFirst { $0.pax(records) }
                $0.header("name", type: "2", link: "link")
                $0.header("name", type: "2", link: "link")
            }
            #expect(found.map(\.displayPath) == ["L2", "name"])
            #expect(found.map { String(decoding: $0.linkTarget, as: UTF8.self) } == ["K2", "link"])
        }
        let empty = try entries {
            $0.header("././@LongLink", type: "L", size: 1)
            $0.content([0])
            $0.file("name", [1])
        }
        #expect(empty.map(\.displayPath) == ["name"])
    }

    /// Runtimes do not look into them, and take what follows for a new entry.
    @Test func globalHeadersSayNothing() throws {
        let found = try entries {
            $0.pax([("uid", Array("7".utf8)), ("size", Array("99".utf8)), ("mtime", Array("zz".utf8))], type: "g")
            $0.file("a", [1])
            $0.pax("path", "b")
            $0.pax("comment", "x")
            $0.file("c", [1])
            $0.pax("path", "d")
            $0.pax([("comment", [0x78])], type: "g")
            $0.file("e", [1])
        }
        #expect(found.map(\.displayPath) == ["a", "c", "e"])
        #expect(found.map(\.permissions.uid) == [1000, 1000, 1000])
    }

    // MARK: Numbers

    @Test(arguments: [
        ("0000017\u{0}", 15), ("17", 15), ("     17 ", 15), ("\u{0}\u{0}17\u{0}", 15), ("00000017", 15),
        ("17\u{0}zz", 15),
        ("        ", 0), ("", 0), ("37777777", 0o37777777),
    ])
    func octalNumbers(_ text: String, _ value: UInt32) throws {
        let field = Array(text.utf8) + [UInt8](repeating: 0, count: 8 - text.utf8.count)
        #expect(try entries { $0.header("n", fields: [108: field]) }.map(\.permissions.uid) == [value])
    }

    @Test(arguments: [
        ("1", 1, 0), ("-1", -1, 0), ("+1", 1, 0), ("1.", 1, 0), ("1.5", 1, 500_000_000), ("-1.25", -2, 750_000_000),
        ("-0.25", -1, 750_000_000), ("1.0000000019", 1, 1), ("-1.00000000019", -1, 0), ("0001.010", 1, 10_000_000),
        ("9223372036854775807", Int64.max, 0),
    ])
    func paxTimes(_ text: String, _ seconds: Int64, _ nanoseconds: UInt32) throws {
        let found = try entries {
            $0.pax("mtime", text)
            $0.file("n", [1])
        }
        #expect(found.map(\.mtimeSeconds) == [seconds])
        #expect(found.map(\.mtimeNanoseconds) == [nanoseconds])
    }

    // MARK: Attributes

    /// Records of access control lists, as GNU tar and star write them, alter nothing: the mode is the header's.
    @Test func accessControlListsDoNotAlterTheMode() throws {
        let list = "user::rw-\nuser:1234:rwx\ngroup::r--\nmask::rwx\nother::---\n"
        let found = try entries {
            $0.pax([
                ("SCHILY.acl.access", Array(list.utf8)), ("SCHILY.acl.default", Array(list.utf8)),
                ("SCHILY.acl.ace", Array("owner@:rwx::allow".utf8)), ("SCHILY.fflags", Array("nodump".utf8)),
                ("RHT.security.selinux", Array("x".utf8)),
            ])
            $0.header("f", mode: 0o640)
        }
        try #require(found.map(\.mode) == [0o640])
        #expect(found[0].xattrs.isEmpty)
    }

    // MARK: Sparse files

    /// What Go's reader does with records of a version that it does not know, and with a map that is none.
    @Test func sparseRecordsOfUnknownVersions() throws {
        for records in [
            ["GNU.sparse.major": "2", "GNU.sparse.minor": "0", "GNU.sparse.name": "real"],
            ["GNU.sparse.major": "1", "GNU.sparse.name": "real"], ["GNU.sparse.name": "real", "GNU.sparse.size": "9"],
        ] {
            let found = try entries {
                $0.pax(records.map { ($0.key, Array($0.value.utf8)) })
                $0.file("name", [1, 2, 3])
            }
            try #require(found.map(\.displayPath) == ["name"])
            #expect(found.map(\.size) == [3])
            #expect(found[0].segments == nil)
        }
    }

    @Test func theFirstEmptySegmentEndsAnOldMap() throws {
        let segment = Array("00000000002\u{0}00000000001\u{0}".utf8)
        let unused = [UInt8](repeating: 0, count: 24)
        let found = try entries {
            $0.header(
                "n", type: "S", size: 1, magic: "ustar  \u{0}",
                fields: [386: segment + unused + segment, 483: Array("00000000005\u{0}".utf8)])
            $0.content([7])
        }
        try #require(found.map(\.size) == [5])
        #expect(found[0].segments == [LayerEntry.Segment(offset: 2, length: 1)])
    }
}
