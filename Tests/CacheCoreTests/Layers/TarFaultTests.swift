import CacheCore
import TestSupport
import Testing

/// What is no tar, or a broken one, is refused in one line that says where.
@Suite struct TarFaultTests {
    private func expectFault(
        _ tar: [UInt8], _ code: CacheError.Code = .invalidInput, containing text: String,
        limits: LayerLimits = LayerLimits(),
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: CacheError.self, sourceLocation: sourceLocation) {
            try SplitLayer(PieceSource(tar), limits: limits)
        }
        #expect(error?.code == code, sourceLocation: sourceLocation)
        #expect(
            error?.description.contains(text) == true, "\(String(describing: error))", sourceLocation: sourceLocation)
        #expect(error?.description.contains("\n") == false, sourceLocation: sourceLocation)
    }

    private func tar(_ build: (inout TarBuilder) -> Void) -> [UInt8] {
        var tar = TarBuilder()
        tar.file("before", [1, 2, 3])
        build(&tar)
        return tar.bytes
    }

    @Test func whatIsNoTar() {
        var random = SeededGenerator(seed: 3)
        expectFault(random.bytes(4096), containing: "at byte 0")
        expectFault(Array("short".utf8), containing: "ends inside a header")
        expectFault(tar { $0.header("x", checksum: .wrong) }, containing: "at byte 1024: no tar header")
        expectFault(tar { $0.header("x", checksum: .wrong) }, containing: "after the entry 'before'")
        expectFault(tar { $0.bytes += random.bytes(100) }, containing: "at byte 1024")
    }

    @Test func whatIsCutOff() {
        expectFault(
            tar { $0.header("cut", size: 10) }, containing: "'cut' at byte 1024: the archive ends inside its content")
        expectFault(
            tar {
                $0.header("big", size: 2_000_000); $0.bytes += [UInt8](repeating: 1, count: 1_999_999)
            }, containing: "'big'")
        expectFault(tar { $0.header("x", type: "x", size: 100) }, containing: "ends inside an extended header")
        expectFault(tar { $0.header("L", type: "L", size: 100) }, containing: "ends inside an extended header")
    }

    /// Go's reader takes the fourth and the fifth; GNU tar does not.
    @Test func whatIsCutInsideABlock() {
        let whole = tar { $0.file("cut", [1, 2, 3]) }
        for (count, text) in [
            (1025, "inside a header"), (1535, "inside a header"),
            (1536, "'cut' at byte 1024: the archive ends inside its content"),
            (1539, "'cut' at byte 1024: the archive ends inside its last block"), (2047, "inside its last block"),
        ] {
            expectFault(Array(whole[..<count]), containing: text)
        }
        let zeros = [UInt8](repeating: 0, count: 1024)
        expectFault(whole + zeros[..<700], containing: "inside its end mark")
        expectFault(whole + zeros[..<100], containing: "inside a header")
        expectFault(Array(zeros[..<511]), containing: "inside a header")
        let described = tar { $0.pax("path", "p") }
        expectFault(Array(described[..<(described.count - 500)]), containing: "ends inside an extended header")
    }

    /// One block of zeros is half an end mark: GNU tar stops there without an error, Go's reader gives up.
    @Test func zerosBetweenEntries() {
        expectFault(
            tar {
                $0.zeros(1); $0.file("lost", [1])
            }, containing: "at byte 1024: a block of zeros")
    }

    /// No reader takes content after a header of these types: a header must follow, whatever the size says.
    @Test(arguments: ["1", "2", "3", "4", "5", "6"] as [Character])
    func contentOfWhatHasNone(_ type: Character) {
        let content = Array("not a header".utf8) + [UInt8](repeating: 65, count: 5000)
        for usesPax in [false, true] {
            expectFault(
                tar {
                    if usesPax { $0.pax("size", "\(content.count)") }
                    $0.header("odd", type: type, size: usesPax ? 0 : content.count, link: "before")
                    $0.content(content)
                },
                containing: usesPax
                    ? "after the entry 'odd'" : "after the entry 'odd', which is of a kind that has no content")
        }
    }

    /// What an entry does not use must be right nevertheless: Go's reader, and so every runtime, looks at it.
    @Test func numbersThatAreNotUsed() {
        for (field, name) in [(100, "mode"), (108, "uid"), (136, "mtime"), (329, "devmajor"), (337, "devminor")] {
            for type: Character in ["0", "x"] {
                expectFault(
                    tar { $0.header("n", type: type, fields: [field: Array("zzz".utf8)]) },
                    containing: "a malformed number in the field \(name)")
            }
        }
        for record in ["atime", "ctime", "uid"] {
            expectFault(
                tar {
                    $0.pax(record, "zz"); $0.file("n", [])
                }, containing: "a malformed \(record)")
        }
    }

    @Test func numbersThatCannotBe() {
        let most = [UInt8](repeating: 0x7F, count: 12)
        expectFault(
            tar { $0.header("n", fields: [124: Array("9".utf8)]) },
            containing: "'n' at byte 1024: a malformed number in the field size")
        expectFault(tar { $0.header("n", fields: [124: [0x80] + most.dropFirst()]) }, containing: "field size")
        expectFault(
            tar { $0.header("n", fields: [124: [UInt8](repeating: 0xFF, count: 12)]) },
            containing: "an impossible size of -1")
        expectFault(
            tar { $0.header("n", fields: [124: [0x80, 0, 0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 5)]) },
            .limitExceeded, containing: "bytes")
        for value in ["-1", "", "1x", "99999999999999999999999", "9999999999999999999"] where !value.isEmpty {
            expectFault(
                tar {
                    $0.pax("size", value); $0.header("n")
                }, containing: "size")
        }
        for value in ["x", "1.x", ".5", "--1"] {
            expectFault(
                tar {
                    $0.pax("mtime", value); $0.header("n")
                }, containing: "mtime")
        }
    }

    /// An owner that no system can have counts as none; the bytes are kept all the same.
    @Test func ownersBeyond32Bits() throws {
        let layer = try expectRoundTrip(
            tar {
                $0.header(
                    "a", fields: [108: [0x80, 0, 0, 1, 0, 0, 0, 0], 116: [0xFF] + [UInt8](repeating: 0xFE, count: 7)])
                $0.pax([("uid", Array("4294967296".utf8)), ("gid", Array("-2".utf8))])
                $0.header("b")
            })
        let owners = try layer.entries().dropFirst().map { [$0.permissions.uid, $0.permissions.gid] }
        #expect(owners == [[65534, 65534], [65534, UInt32(bitPattern: -2)]])
    }

    @Test func paxRecordsThatCannotBe() {
        for text in [
            "5 a=b", "9 a=b\n", "0 a=b\n", "x", "6 a=b", "99999999999999999999 a=b\n", "6 =bb\n", "6 abc\n", "3\n",
            "2 \n", "8 uid=7\n\u{0}\u{0}", " 6 a=b\n", "+6 a=b\n",
        ] {
            expectFault(
                tar {
                    $0.header("x", type: "x", size: text.utf8.count)
                    $0.content(Array(text.utf8))
                    $0.header("n")
                }, containing: "pax")
        }
        expectFault(
            tar {
                $0.pax("path", "a\u{0}b"); $0.header("n")
            }, containing: "NUL")
        for key in ["linkpath", "uname", "gname", "some\u{0}thing"] {
            expectFault(
                tar {
                    $0.pax(key, "a\u{0}b"); $0.header("n")
                }, containing: "NUL")
        }
    }

    @Test func whatIsTooMuch() {
        expectFault(
            tar {
                $0.header("x", type: "x", size: 2 << 20); $0.zeros(4096)
            }, .limitExceeded, containing: "extended headers of more than 1048576 bytes")
        expectFault(
            tar { for _ in 0..<3000 { $0.header("x", type: "x") } }, .limitExceeded,
            containing: "extended headers of more than")
        let long = [UInt8](repeating: 0x61, count: 70_000)
        expectFault(
            tar {
                $0.pax([("path", long)]); $0.header("n")
            }, .limitExceeded, containing: "a path of more than 65536 bytes")
        expectFault(
            tar {
                $0.header("L", type: "K", size: 70_000); $0.content(long); $0.header("n", type: "2")
            }, .limitExceeded, containing: "a link target")
        expectFault(
            tar {
                $0.pax((0..<1100).map { ("SCHILY.xattr.user.\($0)", [1]) }); $0.header("n")
            }, containing: "extended attributes")
        var limits = LayerLimits()
        limits.entries = 1
        expectFault(tar { $0.file("second", []) }, .limitExceeded, containing: "more than 1 entries", limits: limits)
        limits = LayerLimits()
        limits.layerBytes = 1000
        expectFault(tar { $0.file("second", []) }, .limitExceeded, containing: "longer than 1000B", limits: limits)
    }

    @Test func sparseMapsThatCannotBe() {
        for map in ["0,1,0,1", "5,1", "0", "0,2", "0,1,9,1", "a,b", "0,1,", "0,18446744073709551615"] {
            expectFault(
                tar {
                    $0.pax([
                        ("GNU.sparse.size", Array("5".utf8)), ("GNU.sparse.map", Array(map.utf8)),
                        ("GNU.sparse.numblocks", Array("\(map.split(separator: ",").count / 2)".utf8)),
                    ])
                    $0.header("n", size: 1)
                    $0.content([1])
                }, containing: "sparse")
        }
        for text in ["1\n0\n", "x\n", "9999999\n", "18446744073709551615\n", "\n", "1\n0\n512\n", "1\n0\n-1\n"] {
            expectFault(
                tar {
                    $0.pax([
                        ("GNU.sparse.major", [0x31]), ("GNU.sparse.minor", [0x30]), ("GNU.sparse.realsize", [0x35]),
                    ])
                    $0.header("n", size: 512)
                    $0.content(Array(text.utf8))
                }, containing: "sparse")
        }
        // Without a count, or with another one; lengths without offsets; for what is no file; in star's header, which
        // has another map.
        for records in [
            ["GNU.sparse.map": "0,1"], ["GNU.sparse.map": "0,1", "GNU.sparse.numblocks": "2"],
            ["GNU.sparse.numbytes": "5"],
        ] {
            expectFault(
                tar {
                    $0.pax(records.map { ($0.key, Array($0.value.utf8)) }); $0.header("n", size: 1); $0.content([1])
                }, containing: "sparse")
        }
        expectFault(
            tar {
                $0.pax([("GNU.sparse.map", Array("0,1".utf8)), ("GNU.sparse.numblocks", [0x31])])
                $0.header("n", type: "5")
            }, containing: "a sparse map for what is no file")
        expectFault(tar { $0.header("n", type: "S") }, containing: "not GNU's")
    }

    @Test func anErrorStays() throws {
        let splitter = LayerSplitter(PieceSource(Array("garbage".utf8)), kind: .tar)
        for _ in 0..<2 { #expect(throws: CacheError.self) { try splitter.next() } }
    }
}
