import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

/// Layers, their tree, and the EROFS image of it.
struct ErofsFixture {
    let layers: [SplitLayer]
    let tree: ImageTree

    static let isRoot = geteuid() == 0
    static let canCheck = BuiltProgram.isInstalled("fsck.erofs")
    static let canMount =
        isRoot && BuiltProgram.isInstalled("unshare")
        && ((try? String(contentsOfFile: "/proc/filesystems", encoding: .utf8))?.contains("\terofs\n") ?? false)

    init(_ tars: [[UInt8]]) throws {
        layers = try tars.map { try SplitLayer(PieceSource($0)) }
        var builder = ImageTreeBuilder(whiteouts: true)
        for (index, layer) in layers.enumerated() {
            try builder.beginLayer("layer \(index)")
            if !layer.entryTable.isEmpty { try layer.entryTable.withUnsafeBytes { try builder.append(table: $0) } }
            try builder.endLayer()
        }
        tree = builder.finish()
    }

    func writer() throws -> ErofsWriter {
        try ErofsWriter(tree: tree, regionSlots: layers.map { $0.summary.slots(in: .data) })
    }

    /// Writes the whole device to a file: the metadata, and the layers' bytes where the extents say.
    func write(to path: String) throws {
        let writer = try writer()
        try Data(writer.metadata()).write(to: URL(fileURLWithPath: path))
        let file = try #require(FileHandle(forWritingAtPath: path))
        for extent in writer.extents {
            var (position, address, left) = (extent.offset, extent.address, extent.length)
            while left > 0 {
                let count = min(left, UInt64(ChunkLimits.plainBytes - address.offset))
                // The rest of a slot behind the end of its chunk is zero.
                if let chunk = layers[extent.layer].data[Int(address.slot)], chunk.readableBytes > address.offset {
                    let bytes = chunk.readableBytesView.dropFirst(address.offset).prefix(Int(count))
                    try file.seek(toOffset: position)
                    try file.write(contentsOf: Data(bytes))
                }
                position += count
                left -= count
                address = RegionAddress(rawValue: address.rawValue + count)
            }
        }
        try file.truncate(atOffset: writer.deviceBytes)
        try file.close()
    }
}

extension ErofsWriter {
    /// All of the metadata, in pieces of some size.
    func metadata(piece: Int = 70_001) throws -> [UInt8] {
        var writer = self
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0xAA, count: piece)
        while true {
            let count = buffer.withUnsafeMutableBytes { writer.write(into: $0) }
            bytes += buffer[..<count]
            if count < piece { break }
        }
        let after = buffer.withUnsafeMutableBytes { writer.write(into: $0) }
        try #require(after == 0)
        try #require(UInt64(bytes.count) == metadataBytes)
        return bytes
    }
}

/// Programs in Python that tell what a tree is, and compare two.
enum ErofsPrograms {
    /// Everything of a tree by name; of several names of one file, all are told.
    static let describe = #"""
        import ctypes, hashlib, json, os, stat, sys
        def content(p):
            h = hashlib.sha256()
            with open(p, 'rb') as f:
                while b := f.read(1 << 20): h.update(b)
            return h.hexdigest()
        def describe(top):
            top = os.fsencode(top)
            found, names = {}, {}
            for d, ds, fs in os.walk(top):
                for n in [b''] * (d == top) + ds + fs:
                    p = os.path.join(d, n) if n else d; s = os.lstat(p); r = os.path.relpath(p, top)
                    m = s.st_mode
                    x = {a: os.getxattr(p, a, follow_symlinks=False).hex() for a in \#
        os.listxattr(p, follow_symlinks=False)}
                    b = os.readlink(p).hex() if stat.S_ISLNK(m) else content(p) if stat.S_ISREG(m) else ''
                    names.setdefault(s.st_ino, []).append(r.hex())
                    found[r.hex()] = {'mode': oct(m), 'owner': [s.st_uid, s.st_gid], 'mtime': s.st_mtime_ns,
                        'xattrs': x,
                        'bytes': b, 'size': 0 if stat.S_ISDIR(m) else s.st_size, 'links': s.st_nlink,
                        'device': s.st_rdev if stat.S_ISCHR(m) or stat.S_ISBLK(m) else 0, 'ino': s.st_ino}
            for v in found.values(): v['ino'] = sorted(names[v['ino']])
            return found
        libc = ctypes.CDLL(None, use_errno=True)
        def mount(image, place):
            os.makedirs(place, exist_ok=True)
            if libc.mount(image.encode(), place.encode(), b'erofs', 1, None):
                e = ctypes.get_errno()
                if e != 15: raise OSError(e, 'mount')
                # Linux before 6.12 takes no file.
                import subprocess
                subprocess.run(['mount', '-t', 'erofs', '-o', 'ro,loop', image, place], check=True)
        def compare(a, b, since):
            for k in sorted(set(a) | set(b)):
                x, y = a.get(k), b.get(k)
                # What no entry describes has the time at which it was made.
                if x and y and y['mtime'] > since * 10 ** 9: x['mtime'] = y['mtime'] = 0
                # Some filesystems do not count the directories in a directory.
                if x and y and y['links'] == 1: x['links'] = 1
                if x != y:
                    print(os.fsdecode(bytes.fromhex(k))[-80:], *[(f, (x or {}).get(f), (y or {}).get(f)) \#
        for f in (x or y) if not (x and y) or x[f] != y[f]])

        """#
}

extension TemporaryDirectory {
    /// Has `fsck.erofs`, where there is one, look at the file `image`. Its status is 0 also for damaged ones.
    func checkImage(sourceLocation: SourceLocation = #_sourceLocation) throws {
        guard ErofsFixture.canCheck else { return }
        let says = try shell("fsck.erofs -d3 image 2>&1")
        #expect(says.contains("No errors found") && !says.contains("<E>"), "\(says)", sourceLocation: sourceLocation)
    }

    /// Runs a program in Python that begins with ``ErofsPrograms/describe``, in a mount namespace of its own, so that
    /// nothing stays mounted.
    @discardableResult
    func mounting(_ program: String) throws -> String {
        try write("program.py", (ErofsPrograms.describe + program).utf8)
        return try shell("unshare -m python3 program.py")
    }
}
