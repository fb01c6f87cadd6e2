import CacheCore
import Foundation
import Glibc
import Testing

/// Archives as the common programs write them, each split and put together again, the entry table held against Python's reading.
@Suite struct TarDialectTests {
    static let isRoot = getuid() == 0

    /// A tree with something of everything that a dialect can hold.
    static func makeTree(longNames: Bool = true, bigOwners: Bool = false) throws -> TemporaryTree {
        let tree = try TemporaryTree()
        try tree.shell(
            """
            mkdir -p tree/dir/sub 'tree/with blank'; cd tree
            printf 'hello\\n' > dir/small; : > dir/empty; head -c 512 /dev/zero > dir/zeros; head -c 4096 /dev/urandom > dir/block
            head -c 700000 /dev/urandom > big; head -c 524288 /dev/urandom > exactly; head -c 524287 /dev/urandom > below
            for i in $(seq 40); do head -c $((i * 331)) /dev/urandom > dir/sub/file$i; done
            printf x > $'with blank/na\\xffme'; ln -s ../target 'with blank/link'; ln dir/small dir/hard; ln big dir/hardbig
            mkfifo pipe; chmod 4755 dir/small; touch -d '1969-01-01 00:00:00.25' dir/empty; touch -d '2200-01-01' dir/zeros
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

    /// Python's view of an archive, one line an entry: kind, path, mode, owners, mtime, size, link target, digest of the content.
    static let listing = """
        import tarfile, hashlib, sys
        kinds = {tarfile.LNKTYPE: 4, tarfile.SYMTYPE: 3, tarfile.CHRTYPE: 5, tarfile.BLKTYPE: 6, tarfile.DIRTYPE: 2, tarfile.FIFOTYPE: 7}
        archive = tarfile.open('out.tar', errors='surrogateescape')
        for m in archive:
            kind = kinds.get(m.type, 1)
            content = archive.extractfile(m).read() if kind == 1 else b''
            path = m.name.encode('utf-8', 'surrogateescape')
            target = m.linkname.encode('utf-8', 'surrogateescape') if kind in (3, 4) else b''
            device = (m.devmajor, m.devminor) if kind in (5, 6) else (0, 0)
            import math
            print(kind, path.hex(), oct(m.mode & 0o7777), m.uid, m.gid, math.floor(m.mtime), len(content) if kind == 1 else 0,
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
                "\(entry.kind.rawValue)", hex(path), "0o" + String(entry.mode, radix: 8), "\(entry.uid)",
                "\(entry.gid)",
                "\(entry.mtimeSeconds)", "\(content.count)", hex(entry.linkTarget), "\(entry.deviceMajor)",
                "\(entry.deviceMinor)", content.withUnsafeBytes { SHA256Digest(hashing: $0) }.hex,
            ].joined(separator: " ")
        }
    }

    static func expectSameListing(_ tree: TemporaryTree, _ layer: SplitLayer, _ comment: Comment) throws {
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
}
