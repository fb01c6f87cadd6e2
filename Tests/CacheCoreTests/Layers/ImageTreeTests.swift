import CacheCore
import Foundation
import Testing

extension LayerEntry {
    /// An entry as a line of a table: `d/` a directory, `l -> t` a symbolic link, `h = t` a hard link, `p |` a pipe,
    /// else a file.
    init(_ line: String, mode: UInt16? = nil, mtime: Int64 = 7) {
        let kind: Kind
        var (path, target) = (line, "")
        if let range = line.range(of: " -> ") {
            (path, target, kind) = (String(line[..<range.lowerBound]), String(line[range.upperBound...]), .symbolicLink)
        } else if let range = line.range(of: " = ") {
            (path, target, kind) = (String(line[..<range.lowerBound]), String(line[range.upperBound...]), .hardLink)
        } else if line.hasSuffix(" |") {
            (path, kind) = (String(line.dropLast(2)), .fifo)
        } else {
            kind = line.hasSuffix("/") || line.hasSuffix(".") || line.isEmpty ? .directory : .file
        }
        self.init(path: Array(path.utf8), kind: kind)
        linkTarget = Array(target.utf8)
        permissions.mode = mode ?? (kind == .directory ? 0o755 : 0o644)
        modificationTime.seconds = mtime
    }
}

/// Applies layers, each the lines of its table.
func tree(_ layers: [[LayerEntry]], whiteouts: Bool = true) throws -> ImageTree {
    var builder = ImageTreeBuilder(whiteouts: whiteouts)
    for (index, layer) in layers.enumerated() {
        try builder.beginLayer("layer \(index)")
        for entry in layer { try builder.apply(entry) }
        try builder.endLayer()
    }
    return builder.finish()
}

extension ImageTree {
    /// Each node but the root, as ``LayerEntry/init(_:mode:mtime:)`` has them; hard links name the node that they are
    /// links to.
    var lines: [String] {
        (1..<count).map { node in
            let (inode, path) = (attributes(of: node), path(of: node).description)
            if let first = firstNode(of: self.inode(of: node)), first != node {
                return "\(path) = \(self.path(of: first))"
            }
            switch inode.kind {
            case .directory: return path + "/"
            case .symbolicLink: return "\(path) -> \(linkTarget(of: inode))"
            case .fifo: return path + " |"
            default: return path
            }
        }.sorted()
    }
}

/// What container runtimes make of layers, one rule a test.
@Suite struct ImageTreeTests {
    private static let cases: [(name: String, layers: [[String]], expected: [String])] = [
        ("nothing", [[]], []),
        ("parents are implied", [["a/b/c"]], ["a/", "a/b/", "a/b/c"]),
        (
            "paths are cleaned", [["./a//b/", "/c", "a/../d", "../e", "./../../f/./g"]],
            ["a/", "a/b/", "c", "d", "e", "f/", "f/g"]
        ),
        ("names that mean the root", [["./", "/", "a/..", ".", "", "b"]], ["b"]),
        ("a file with a slash behind it", [["a/"]], ["a/"]),
        ("a file in the place of a file", [["a", "b = a"], ["a"]], ["a", "b"]),
        ("the last of two", [["a/", "a/x", "a"]], ["a"]),
        ("a directory over a directory", [["a/", "a/x"], ["a/", "a/y"]], ["a/", "a/x", "a/y"]),
        ("a directory over a file", [["a"], ["a/", "a/y"]], ["a/", "a/y"]),
        ("a file over a directory", [["a/", "a/x/y"], ["a"]], ["a"]),
        ("a link over a directory", [["a/", "a/x", "b/"], ["a -> b", "a/y"]], ["a -> b", "b/", "b/y"]),
        ("a directory over a link", [["a -> b", "b/", "b/x"], ["a/"]], ["a/", "b/", "b/x"]),
        ("in a directory that is a file", [["a"], ["a/b"]], ["a/", "a/b"]),
        ("in a directory that is a pipe", [["a |"], ["a/b/c"]], ["a/", "a/b/", "a/b/c"]),
        ("in a directory that is a link to a file", [["a -> f", "f"], ["a/b"]], ["a -> f", "f/", "f/b"]),
        ("in a file of the same layer", [["a", "a/b"]], ["a/", "a/b"]),
        (
            "through a link", [["lib -> usr/lib", "usr/lib/x"], ["lib/y"]],
            ["lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/x", "usr/lib/y"]
        ),
        (
            "through an absolute link", [["usr/lib/", "lib -> /usr/lib"], ["lib/y"]],
            ["lib -> /usr/lib", "usr/", "usr/lib/", "usr/lib/y"]
        ),
        (
            "through a link that leads nowhere", [["run -> /gone/run"], ["run/x"]],
            ["gone/", "gone/run/", "gone/run/x", "run -> /gone/run"]
        ),
        (
            "through a link out of the root", [["a/up -> ../../../../b"], ["a/up/x"]],
            ["a/", "a/up -> ../../../../b", "b/", "b/x"]
        ),
        (
            "through a link that goes back from nowhere", [["l -> gone/../b"], ["l/x"]],
            ["b/", "b/x", "l -> gone/../b"]
        ),
        (
            "through links to links", [["a -> b/c", "b -> d", "d/c -> ../e"], ["a/x"]],
            ["a -> b/c", "b -> d", "d/", "d/c -> ../e", "e/", "e/x"]
        ),
        ("a whiteout", [["a", "d/x", "d/y"], [".wh.a", "d/.wh.x"]], ["d/", "d/y"]),
        ("a whiteout of a directory", [["a/b/c", "a/d"], ["a/.wh.b"]], ["a/", "a/d"]),
        ("whiteouts of what is not there", [["a"], [".wh.b", "c/.wh.d", "a/.wh.e", "f/.wh..wh..opq"]], ["a"]),
        ("a whiteout after its successor", [["a/", "a/old"], ["a/new", ".wh.a"]], ["a/", "a/new"]),
        ("a whiteout before its successor", [["a/", "a/old"], [".wh.a", "a/new"]], ["a/", "a/new"]),
        ("a whiteout of what the layer has made", [[], ["a", ".wh.a"]], ["a"]),
        ("a whiteout of what the layer has linked", [["a"], ["b = a", ".wh.b", ".wh.a"]], ["b"]),
        ("a whiteout through a link", [["l -> d", "d/x", "d/y"], ["l/.wh.x"]], ["d/", "d/y", "l -> d"]),
        ("a whiteout of a link", [["l -> d", "d/x"], [".wh.l"]], ["d/", "d/x"]),
        ("a whiteout, and a directory again", [["a/x", "a/y"], [".wh.a"], ["a/z"]], ["a/", "a/z"]),
        (
            "an opaque directory", [["a/x", "a/b/y"], ["a/n", "a/b/m", "a/.wh..wh..opq"]],
            ["a/", "a/b/", "a/b/m", "a/n"]
        ),
        (
            "an opaque directory at first", [["a/x", "a/b/y"], ["a/.wh..wh..opq", "a/n", "a/b/m"]],
            ["a/", "a/b/", "a/b/m", "a/n"]
        ),
        ("an opaque root", [["a", "b/c"], ["d", ".wh..wh..opq"]], ["d"]),
        ("an opaque directory that is a link", [["l -> d", "d/x"], ["l/.wh..wh..opq"]], ["d/", "l -> d"]),
        (
            "opaque twice", [["a/x"], ["a/.wh..wh..opq", "a/y", "a/.wh..wh..opq"], ["a/.wh..wh..opq", "a/z"]],
            ["a/", "a/z"]
        ),
        ("the bookkeeping of aufs", [["a", ".wh..wh.plnk/", ".wh..wh.aufs", ".wh..wh.orph/"]], ["a"]),
        (
            "a link to what the bookkeeping holds", [[".wh..wh.plnk/5.3", "a = .wh..wh.plnk/5.3"]],
            [".wh..wh.plnk/", ".wh..wh.plnk/5.3 = a", "a"]
        ),
        ("a whiteout is one whatever its kind", [["a", "b", "c"], [".wh.a/", ".wh.b -> x", ".wh.c = nothing"]], []),
        ("hard links", [["a", "b = a", "d/c = ./b", "e = /d/../a"]], ["a", "b = a", "d/", "d/c = a", "e = a"]),
        ("a hard link to a lower layer", [["a"], ["b = a"]], ["a", "b = a"]),
        ("a hard link to what is replaced then", [["a"], ["b = a", "c = b", "a"]], ["a", "b", "c = b"]),
        ("a hard link that is replaced then", [["a", "b = a", "c = a"], ["b"]], ["a", "b", "c = a"]),
        (
            "a hard link over a file and a directory", [["a", "b", "d/x"], ["b = a", "d = a"]], ["a", "b = a", "d = a"]
        ),
        ("a hard link to a symbolic link", [["a -> x", "b = a"]], ["a -> x", "b = a"]),
        ("a hard link through a symbolic link", [["d/a", "l -> d", "b = l/a"]], ["b", "d/", "d/a = b", "l -> d"]),
        ("a hard link to a pipe", [["a |", "b = a"]], ["a |", "b = a"]),
        ("names in byte order", [["b", "a.b", "a/", "a/z", "ab", "B"]], ["B", "a.b", "a/", "a/z", "ab", "b"]),
    ]

    @Test(arguments: cases.indices) func theTable(_ index: Int) throws {
        let (name, layers, expected) = Self.cases[index]
        let lines = try tree(layers.map { $0.map { LayerEntry($0) } }).lines
        #expect(lines == expected.sorted(), "\(name)")
    }

    private static let refused: [(layers: [[String]], named: String)] = [
        ([["a = b"]], "'a' is a hard link to 'b', which is not there"),
        ([["a", "a = a"]], "'a' is a hard link to 'a', which is not there"),
        ([["a/x", "a = a/x"]], "'a' is a hard link to 'a/x'"),
        ([["a/", "b = a"]], "'b' is a hard link to the directory 'a'"),
        ([["b = /"]], "'b' is a hard link to the directory '/'"),
        ([["a", "b = a/c"]], "'b' is a hard link to 'a/c'"),
        ([["a -> b", "b -> a", "a/x"]], "'a/x' lies behind too many symbolic links"),
        ([["./ -> a"]], "'./' takes the place of the root directory"),
        ([["a |"], [".. |"]], "'..' takes the place of the root directory"),
        ([["a/.wh."]], "'a/.wh.' removes no entry"),
        ([["a/.wh.. |"]], "removes no entry"),
        ([["a/.wh... |"]], "removes no entry"),
        ([["l -> "]], "'l' is a symbolic link without a target"),
        ([["a/" + String(repeating: "n", count: 256)]], "has a name of 256 bytes"),
        (
            [["l -> " + String(repeating: "n", count: 256)], ["l/x"]],
            "'l/x' lies in a directory whose name has 256 bytes"
        ),
        ([["l -> " + String(repeating: "n", count: 4096)]], "'l' is a symbolic link to 4096 bytes"),
        ([[String(repeating: "n/", count: 2048) + "n"]], "has a path of 4097 bytes"),
        ([["l -> " + String(repeating: "n/", count: 2047)], ["l/nn"]], "'l/nn' has a path of 4096 bytes"),
    ]

    @Test(arguments: refused.indices) func whatNoRuntimeTakes(_ index: Int) {
        let (layers, named) = Self.refused[index]
        let error = cacheError { _ = try tree(layers.map { $0.map { LayerEntry($0) } }) }
        #expect(error?.code == .invalidInput)
        #expect(error?.message.contains(named) == true, "\(error.map { "\($0)" } ?? "accepted")")
        #expect(error?.message.hasPrefix("layer \(layers.count - 1): '") == true)
    }

    @Test func pathsAsLongAsLinuxTakesThem() throws {
        let deep = String(repeating: "n/", count: 2047) + "n"
        #expect(
            try tree([[LayerEntry(deep), LayerEntry("l -> " + String(repeating: "t", count: 4095))]]).count == 2050)
        let long = String(repeating: "n", count: 255)
        #expect(try tree([[LayerEntry("x/../" + String(repeating: "./", count: 4000) + long)]]).lines == [long])
        let chain = (0..<255).map { LayerEntry("l\($0) -> l\($0 + 1)") } + [LayerEntry("l255/")]
        #expect(try tree([chain, [LayerEntry("l0/x")]]).lines.contains("l255/x"))
        #expect(cacheError { _ = try tree([[LayerEntry("k -> l0")] + chain, [LayerEntry("k/x")]]) } != nil)
    }

    @Test func namesLikeWhiteoutsWhereThereAreNone() throws {
        let names = [".wh. |", ".wh.. |", ".wh..wh..opq", ".wh.a", "a"]
        #expect(try tree([names.map { LayerEntry($0) }], whiteouts: false).lines == names)
    }

    /// What an upper entry does not state is gone; a directory that only has something new in it keeps what it had.
    @Test func attributes() throws {
        var lower = LayerEntry("d/", mode: 0o2750, mtime: 5)
        (lower.permissions.uid, lower.permissions.gid, lower.modificationTime.nanoseconds) = (1, 2, 3)
        lower.xattrs = [
            .init(name: Array("user.a".utf8), value: [1, 0, 2]), .init(name: Array("user.b".utf8), value: []),
        ]
        let kept = try tree([[lower], [LayerEntry("d/x/y"), LayerEntry("d/.wh.z")]])
        let d = kept.attributes(of: 1)
        #expect(
            (d.mode, d.uid, d.gid, d.modificationTime.seconds, d.modificationTime.nanoseconds) == (0o2750, 1, 2, 5, 3))
        #expect(kept.attributes(of: d).map(\.name) == [FileName("user.a"), FileName("user.b")])
        #expect(kept.attributes(of: d).map(\.value) == [[1, 0, 2], []])
        // One that is implied gets the group of a set-group-id directory, as from a kernel.
        let x = kept.attributes(of: 2)
        #expect((x.mode, x.uid, x.gid, x.modificationTime.seconds, x.isImplied) == (0o2755, 0, 2, 0, true))
        let replaced = try tree([[lower], [LayerEntry("d/", mode: 0o700)]])
        let e = replaced.attributes(of: 1)
        #expect((e.mode, e.uid, e.gid, e.modificationTime.seconds, e.hasAttributes) == (0o700, 0, 0, 7, false))
        let root = try tree([[LayerEntry("./", mode: 0o711, mtime: 9)]]).attributes(of: 0)
        #expect((root.mode, root.modificationTime.seconds, root.isImplied) == (0o711, 9, false))
        let untold = try tree([[LayerEntry("a")]]).attributes(of: 0)
        #expect((untold.mode, untold.modificationTime.seconds, untold.isImplied) == (0o755, 0, true))
        // A hard link's header says nothing about the file.
        var link = LayerEntry("b = a", mode: 0o777, mtime: 99)
        link.size = 600
        link.content = DataRun(address: RegionAddress(rawValue: 0), length: 600)
        let linked = try tree([[LayerEntry("a", mode: 0o600), link]])
        let a = linked.attributes(of: 2)
        #expect((a.mode, a.modificationTime.seconds, a.size, a.linkCount) == (0o600, 7, 0, 2))
        #expect(a.content == nil)
    }

    @Test func whereBytesAre() throws {
        func file(_ path: String, _ address: UInt64, _ length: UInt64) -> LayerEntry {
            var entry = LayerEntry(path)
            entry.content = DataRun(address: RegionAddress(rawValue: address), length: length)
            entry.size = length
            return entry
        }
        var sparse = file("s", 1 << 20, 30)
        sparse.size = 1000
        sparse.segments = [.init(offset: 10, length: 10), .init(offset: 30, length: 0), .init(offset: 40, length: 20)]
        let layers = [
            [file("gone", 0, 100), file("big", 1 << 19, 1 << 19 | 5), file("last", 4096, 7)],
            [file("gone", 8192, 3), sparse, file("first", 0, 8192)],
        ]
        let image = try tree(layers)
        let plan = try ContentPlan(image, slots: [3, 3])
        let pieces = plan.chunks.map { chunk in
            ["\(chunk.layer):\(chunk.slot)"]
                + chunk.files.map { place in
                    let piece = plan.piece(place, of: chunk, in: image)
                    let path = image.path(of: image.firstNode(of: piece.inode) ?? 0)
                    return "\(path) \(piece.chunk) \(piece.stored)\(piece.isWhole ? "" : " part")"
                }
        }
        #expect(
            pieces == [
                ["0:0", "last 4096..<4103 0"], ["0:1", "big 0..<524288 0 part"], ["0:2", "big 0..<5 524288 part"],
                ["1:0", "first 0..<8192 0", "gone 8192..<8195 0"], ["1:2", "s 0..<30 0"],
            ])
        var stretches: [[UInt64]] = []
        let inode = image.attributes(of: image.count - 1)
        #expect(inode.size == 1000)
        #expect(inode.isSparse)
        for range in [UInt64(0)..<30, 5..<15, 10..<11, 29..<30] {
            image.forEachStretch(of: inode, in: range) { stretches.append([$0, $1, $2]) }
        }
        #expect(stretches == [[0, 10, 10], [10, 40, 20], [5, 15, 5], [10, 40, 5], [10, 40, 1], [29, 59, 1]])
        for slots in [[2, 3], [3, 2], [3]] {
            #expect(cacheError { _ = try ContentPlan(image, slots: slots) }?.code == .corrupt)
        }
        let overlapping = try tree([[file("a", 0, 5000), file("b", 4096, 10)]])
        #expect(cacheError { _ = try ContentPlan(overlapping, slots: [1]) }?.code == .corrupt)
    }

    @Test func limits() throws {
        var limits = ImageTreeLimits()
        limits.entries = 3
        var builder = ImageTreeBuilder(expecting: .max, whiteouts: true, limits: limits)
        try builder.beginLayer("l")
        for name in ["a", "b", "c"] { try builder.apply(LayerEntry(name)) }
        #expect(cacheError { try builder.apply(LayerEntry("d")) }?.code == .limitExceeded)
        limits.entries = 1000
        limits.textBytes = 1000
        builder = ImageTreeBuilder(whiteouts: true, limits: limits)
        try builder.beginLayer("l")
        #expect(
            cacheError { for i in 0..<100 { try builder.apply(LayerEntry("name \(i) -> target \(i)")) } }?.code
                == .limitExceeded)
    }

    /// Many links to long paths cost no more than their share.
    @Test func linksThatMultiply() {
        let links = (0..<250).map {
            LayerEntry(
                "a/\($0) -> /a/\($0 + 1)" + String(repeating: "/.", count: 10) + String(repeating: "/x/..", count: 700))
        }
        let entries = (0..<10_000).map { LayerEntry("a/0/\($0 % 2)/\($0)") }
        #expect(cacheError { _ = try tree([[LayerEntry("a/250/x/")], links, entries]) }?.code == .limitExceeded)
    }
}
