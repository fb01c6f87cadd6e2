import CacheCore
import Foundation
import Glibc
import TestSupport
import Testing

/// Archives as the common programs write them, each split and put together again, the entry table held against Python's
/// reading.
@Suite struct TarDialectTests {
    static let isRoot = getuid() == 0

    /// A tree with something of everything that a dialect can hold.
    static func makeTree(longNames: Bool = true, bigOwners: Bool = false) throws -> TemporaryDirectory {
        let tree = try TemporaryDirectory()
        try tree.shell(
            """
            mkdir -p tree/dir/sub 'tree/with blank'; cd tree
            printf 'hello\\n' > dir/small; : > dir/empty; head -c 512 /dev/zero > dir/zeros; head -c 4096 /dev/urandom \
            > dir/block
            head -c 700000 /dev/urandom > big; head -c 524288 /dev/urandom > exactly; head -c 524287 /dev/urandom > \
            below
            for i in $(seq 40); do head -c $((i * 331)) /dev/urandom > dir/sub/file$i; done
            printf x > $'with blank/na\\xffme'; ln -s ../target 'with blank/link'; ln dir/small dir/hard; \
            ln big dir/hardbig
            mkfifo pipe; chmod 4755 dir/small; touch -d '1969-01-01 00:00:00.25' dir/empty; \
            touch -d '2200-01-01' dir/zeros
            """)
        if longNames {
            let name = String(repeating: "n", count: 120)
            try tree.shell(
                """
                cd tree; mkdir -p \(name)/\(name)/\(name); printf long > \(name)/\(name)/\(name)/\(name)
                ln -s \(name)/\(name)/\(name) longlink; ln \(name)/\(name)/\(name)/\(name) zlonghard
                """)
        }
        if isRoot { try tree.shell("cd tree; mknod null c 1 3; mknod disk b 259 1048575") }
        if bigOwners && isRoot { try tree.shell("cd tree; chown 3000000000:4000000000 dir/block") }
        return tree
    }

    /// Python's view of an archive, one line an entry: kind, path, mode, owners, mtime, size, link target, digest of
    /// the content.
    static let listing = """
        import tarfile, hashlib, sys
        kinds = {tarfile.LNKTYPE: 4, tarfile.SYMTYPE: 3, tarfile.CHRTYPE: 5, tarfile.BLKTYPE: 6, tarfile.DIRTYPE: 2, \
        tarfile.FIFOTYPE: 7}
        archive = tarfile.open('out.tar', errors='surrogateescape')
        for m in archive:
            kind = kinds.get(m.type, 1)
            content = archive.extractfile(m).read() if kind == 1 else b''
            path = m.name.encode('utf-8', 'surrogateescape')
            target = m.linkname.encode('utf-8', 'surrogateescape') if kind in (3, 4) else b''
            device = (m.devmajor, m.devminor) if kind in (5, 6) else (0, 0)
            import math
            print(kind, path.hex(), oct(m.mode & 0o7777), m.uid, m.gid, math.floor(m.mtime), len(content) if kind == 1 \
        else 0,
                  target.hex(), *device, hashlib.sha256(content).hexdigest())
        """

    /// The same of an entry table.
    static func lines(_ layer: SplitLayer) throws -> [String] {
        try layer.entries().map { entry in
            let content = entry.kind == .file ? try layer.content(of: entry) : []
            // Python takes the slash from the names of directories.
            let path = entry.path.last == UInt8(ascii: "/") ? entry.path.dropLast() : entry.path[...]
            func hex(_ bytes: some Sequence<UInt8>) -> String { bytes.map { String(format: "%02x", $0) }.joined() }
            return [
                "\(entry.kind.rawValue)", hex(path), "0o" + String(entry.permissions.mode, radix: 8),
                "\(entry.permissions.uid)",
                "\(entry.permissions.gid)",
                "\(entry.modificationTime.seconds)", "\(content.count)", hex(entry.linkTarget), "\(entry.deviceMajor)",
                "\(entry.deviceMinor)", content.withUnsafeBytes { SHA256Digest(hashing: $0) }.hex,
            ].joined(separator: " ")
        }
    }

    static func expectSameListing(_ tree: TemporaryDirectory, _ layer: SplitLayer, _ comment: Comment) throws {
        let expected = try tree.python(listing).split(separator: "\n").map(String.init)
        let found = try lines(layer)
        #expect(found.count == expected.count, comment)
        for (found, expected) in zip(found, expected) { #expect(found == expected, comment) }
    }

    @Test(arguments: ["v7", "ustar", "oldgnu", "gnu", "posix"])
    func gnuTar(format: String) throws {
        let tree = try Self.makeTree(
            longNames: format != "v7" && format != "ustar", bigOwners: format == "posix" || format == "gnu")
        // v7 knows neither devices nor times before 1970.
        let fix = format == "v7" || format == "ustar" ? "touch -d '2001-02-03' tree/dir/empty tree/dir/zeros;" : ""
        let out = format == "v7" ? "--exclude=null --exclude=disk --exclude=pipe" : ""
        try tree.shell("\(fix) tar --format=\(format) \(out) -cf out.tar tree")
        let tar = try tree.bytes("out.tar")
        for piece in [Int.max, 10_007] {
            let layer = try expectRoundTrip(tar, piece: piece, "\(format)")
            try Self.expectSameListing(tree, layer, "\(format)")
        }
    }

    @Test(arguments: [
        "--format=oldgnu", "--format=gnu", "--sparse-version=0.0", "--sparse-version=0.1", "--sparse-version=1.0",
    ])
    func gnuTarSparse(option: String) throws {
        let tree = try TemporaryDirectory()
        // One with a few segments, one with more than the header holds, one of nothing but a hole, one that ends in a
        // hole.
        try tree.shell(
            """
            mkdir tree; cd tree; truncate -s 3000000 few many hole end; truncate -s 1234567 odd
            for at in 0 200 500; do head -c 5000 /dev/urandom | dd of=few bs=4096 seek=$at conv=notrunc status=none; \
            done
            python3 -c "import os
            with open('many', 'r+b') as many:
                for at in range(0, 701, 7): many.seek(at * 4096); many.write(os.urandom(4096))"
            head -c 600000 /dev/urandom | dd of=end bs=4096 seek=3 conv=notrunc status=none
            printf end | dd of=odd bs=1 seek=1234564 conv=notrunc status=none; printf plain > plain
            """)
        let format = option.hasPrefix("--format") ? "" : "--format=posix"
        try tree.shell("tar \(format) \(option) --sparse -cf out.tar tree")
        let tar = try tree.bytes("out.tar")
        try #require(tar.count < 3_000_000, "the archive is not sparse: the file system does not tell where holes are")
        let layer = try expectRoundTrip(tar, "\(option)")
        try Self.expectSameListing(tree, layer, "\(option)")
        let entries = try layer.entries().filter { $0.kind == .file }
        for entry in entries {
            let isSame = try layer.content(of: entry) == tree.bytes(entry.displayPath)
            #expect(isSame, "\(option) \(entry.displayPath)")
        }
        let sizes = Dictionary(uniqueKeysWithValues: entries.map { ($0.displayPath, $0.size) })
        #expect(sizes["tree/many"] == 3_000_000)
        #expect(sizes["tree/hole"] == 3_000_000)
        #expect(sizes["tree/odd"] == 1_234_567)
        #expect(entries.first { $0.displayPath == "tree/hole" }?.content == nil)
        #expect(entries.first { $0.displayPath == "tree/many" }?.segments?.count ?? 0 > 90)
    }

    @Test func gnuTarIncremental() throws {
        let tree = try Self.makeTree()
        try tree.shell("tar --format=gnu --listed-incremental=snapshot -cf out.tar tree")
        let layer = try expectRoundTrip(tree.bytes("out.tar"))
        let entries = try layer.entries()
        #expect(entries.contains { $0.kind == .directory && $0.displayPath == "tree/dir/" })
        let small = try #require(
            entries.first { $0.displayPath == "tree/dir/small" || $0.displayPath == "tree/dir/hard" })
        #expect(try layer.content(of: small) == Array("hello\n".utf8))
    }

    @Test(.enabled(if: isRoot && BuiltProgram.isInstalled("setfattr"), "needs root and setfattr (apt: attr)"))
    func gnuTarExtendedAttributes() throws {
        let tree = try TemporaryDirectory()
        try tree.shell(
            """
            mkdir tree; printf x > tree/a; setfattr -n user.colour -v 0x00ff0a3d tree/a; setfattr -n user.empty tree/a
            setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 tree/a
            tar --format=posix --xattrs --xattrs-include='*' -cf out.tar tree
            """)
        let entry = try #require(expectRoundTrip(tree.bytes("out.tar")).entries().last)
        let found = Dictionary(
            uniqueKeysWithValues: entry.xattrs.map { (String(decoding: $0.name, as: UTF8.self), $0.value) })
        #expect(found["user.colour"] == [0, 0xFF, 0x0A, 0x3D])
        #expect(found["user.empty"] == [])
        #expect(found["security.capability"]?.count == 20)
    }

    @Test(arguments: ["USTAR", "GNU", "PAX"])
    func python(format: String) throws {
        let tree = try Self.makeTree(longNames: format != "USTAR")
        let fix = format == "USTAR" ? "touch -d '2001-02-03' tree/dir/empty tree/dir/zeros; " : ""
        try tree.shell("\(fix)true")
        _ = try tree.python(
            """
            import tarfile
            with tarfile.open('out.tar', 'w', format=tarfile.\(format)_FORMAT, pax_headers={'comment': 'for all'}) as t:
                t.add('tree')
            """)
        try Self.expectSameListing(tree, expectRoundTrip(tree.bytes("out.tar")), "\(format)")
    }

    @Test(
        .enabled(if: BuiltProgram.isInstalled("bsdtar"), "needs bsdtar (apt: libarchive-tools)"),
        arguments: ["ustar", "gnutar", "pax", "v7"])
    func libarchive(format: String) throws {
        let tree = try Self.makeTree(longNames: format == "gnutar" || format == "pax")
        try tree.shell("touch -d '2001-02-03 04:05:06' tree/dir/empty tree/dir/zeros")
        let isOld = format == "v7"
        if !isOld, BuiltProgram.isInstalled("setfattr") {
            try tree.shell("setfattr -n user.colour -v 0x00ff0a3d tree/dir/small")
        }
        try tree.shell(
            "bsdtar --format \(format) \(isOld ? "--exclude null --exclude disk --exclude pipe" : "") -cf out.tar tree")
        let layer = try expectRoundTrip(tree.bytes("out.tar"))
        try Self.expectSameListing(tree, layer, "\(format)")
        if format == "pax", BuiltProgram.isInstalled("setfattr") {
            // The file, and the hard link to it.
            let attributes = try layer.entries().flatMap(\.xattrs)
            let colour = LayerEntry.ExtendedAttribute(name: Array("user.colour".utf8), value: [0, 0xFF, 0x0A, 0x3D])
            #expect(attributes == [colour, colour])
        }
    }

    /// Trees that every machine has: thousands of small files, and links of all kinds.
    @Test(arguments: ["/etc", "/usr/share/doc", "/usr/share/zoneinfo"])
    func realTrees(root: String) throws {
        let tree = try TemporaryDirectory()
        // A file may vanish meanwhile (status 1), and a machine may lack a tree.
        try tree.shell(
            "[ -d \(root) ] || exit 0; tar --exclude='*/shadow*' -cf out.tar -C / .\(root) 2>/dev/null || [ $? = 1 ]")
        guard FileManager.default.fileExists(atPath: tree.path + "/out.tar") else { return }
        // Debug builds are slow: some of it will do.
        let tar = Array(try tree.bytes("out.tar").prefix(64 << 20))
        guard tar.count < 64 << 20 else { return }
        let layer = try expectRoundTrip(tar)
        try Self.expectSameListing(tree, layer, "\(root)")
        #expect(layer.skeleton.count < 100 * max(layer.summary.entryCount, 50), "headers must stay small")
        #expect(layer.entryTable.count < 64 * max(layer.summary.entryCount, 50))
    }
}
