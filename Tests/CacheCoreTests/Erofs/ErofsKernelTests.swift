import CacheCore
import Foundation
import TestSupport
import Testing

/// Images as the kernel reads them, compared with what programs that unpack images make of the same layers.
@Suite struct ErofsKernelTests {
    /// Writes `layer-0.tar` and so on, and an OCI layout of them.
    private static let image = #"""
        import hashlib, io, json, os, random, sys, tarfile
        F, D, L, H, P, C, B = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, \#
        tarfile.CHRTYPE, tarfile.BLKTYPE
        def layer(entries, r):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode='w', format=tarfile.PAX_FORMAT) as t:
                for name, kind, value, *more in entries:
                    i = tarfile.TarInfo(name); i.type = kind
                    i.mtime = r.choice([0, 1, r.randint(-2 ** 31, 2 ** 33), r.random() * 1e9, -1.5])
                    i.mode = more[0] if more else 0o755 if kind == D else 0o644
                    i.uid, i.gid = r.choice([(0, 0), (1000, 5), (70000, 70001), (2 ** 31, 2 ** 31 + 7)])
                    if kind in (C, B): i.devmajor, i.devminor = value
                    if kind in (L, H): i.linkname = value
                    x = more[1] if len(more) > 1 else {}
                    i.pax_headers = {'SCHILY.xattr.' + k: v.decode('utf-8', 'surrogateescape') for k, v in x.items()}
                    i.size = len(value) if kind == F else 0
                    t.addfile(i, io.BytesIO(value) if kind == F else None)
            return out.getvalue()
        M = 'application/vnd.oci.image.'
        def put(b):
            h = hashlib.sha256(b).hexdigest()
            open('oci/blobs/sha256/' + h, 'wb').write(b)
            return {'digest': 'sha256:' + h, 'size': len(b)}
        def image(layers):
            os.makedirs('oci/blobs/sha256')
            for n, b in enumerate(layers): open(f'layer-{n}.tar', 'wb').write(b)
            config = {'architecture': 'amd64', 'os': 'linux', 'config': {}, 'rootfs': {'type': 'layers', 'diff_ids':
                ['sha256:' + hashlib.sha256(b).hexdigest() for b in layers]}}
            m = {'schemaVersion': 2, 'mediaType': M + 'manifest.v1+json',
                'config': dict(put(json.dumps(config).encode()), mediaType=M + 'config.v1+json'),
                'layers': [dict(put(b), mediaType=M + 'layer.v1.tar') for b in layers]}
            m = dict(put(json.dumps(m).encode()), mediaType=M + 'manifest.v1+json')
            m['annotations'] = {'org.opencontainers.image.ref.name': 't'}
            open('oci/oci-layout', 'w').write('{"imageLayoutVersion": "1.0.0"}')
            open('oci/index.json', 'w').write(json.dumps({'schemaVersion': 2, 'manifests': [m]}))

        """#

    private static let capability = "bytes.fromhex('0100000200040000000000000000000000000000')"
    /// Owner, a named user, group, mask, others: as the mode 0750 has it.
    private static let list =
        "bytes.fromhex('02000000' + '0100070000000000' + '0200050009000000'"
        + "+ '0400010000000000' + '1000050000000000' + '2000000000000000')"

    /// Assembles the image of the tars in a directory, and has it checked.
    private func assemble(_ directory: TemporaryDirectory) throws -> ErofsFixture {
        let tars = directory.names().filter { $0.hasPrefix("layer-") }
        let fixture = try ErofsFixture(tars.map { try directory.bytes($0) })
        try fixture.write(to: directory("image"))
        try directory.checkImage()
        return fixture
    }

    @Test(
        .enabled(
            if: ErofsFixture.canMount && BuiltProgram.isInstalled("umoci"), "needs root, EROFS in the kernel and umoci")
    )
    func everyOddityAsUmociHasIt() throws {
        let directory = try TemporaryDirectory(in: TemporaryDirectory.parentInMemory)
        try directory.python(
            Self.image + #"""
                r = random.Random(8)
                cap, acl = \#(Self.capability), \#(Self.list)
                sizes = [0, 1, 4095, 4096, 4097, 524287, 524288, 524289, 3_000_000]
                l0 = layer([('./', D, '', 0o751, {'user.of.root': b'r'}), ('usr', D, ''), ('usr/lib', D, '', 0o2775),
                    *[('sizes/%d' % n, F, r.randbytes(n)) for n in sizes], ('sizes/zeros', F, bytes(700_000)),
                    ('deep/' * 400 + 'f', F, b'deep'), ('n' * 255, F, b'long'), ('names/' + 'ü' * 127, F, b'long'),
                    *[('many/%05d' % n, F, b'') for n in range(2000)], *[('dirs/%d/' % n, D, '') for n in range(300)],
                    ('usr/lib/a', F, b'a' * 5000), ('hard', H, 'usr/lib/a'), ('soft', L, 'usr/lib'), \#
                ('dangling', L, '../' * 1000 + 'x'),
                    ('pipe', P, '', 0o640), ('null', C, (1, 3), 0o666), ('disk', B, (259, 70000), 0o660), \#
                ('max', C, (4095, 1048575)),
                    ('ping', F, b'x' * 99, 0o4755, {'security.capability': cap,
                        'user.a': b'1', 'trusted.t': bytes(range(1, 256))}),
                    ('listed', F, b'', 0o750, {'system.posix_acl_access': acl}), ('listed.d', D, '', 0o750, \#
                {'system.posix_acl_access': acl, 'system.posix_acl_default': acl}),
                    ('large', F, b'', 0o644, {'trusted.' + c: c.encode() * 9000 for c in 'abcdef'}),
                    ('link', L, 'usr', 0o777, {'trusted.link': b'on a link'}), ('sticky', D, '', 0o1777),
                    ('none', F, b'n', 0),
                    ('gone', F, b'g'), ('opaque', D, ''), ('opaque/old', F, b'x'), ('tofile', D, ''),
                    ('tofile/x', F, b'x'), ('todir', F, b'x'),
                    ('.odd', D, ''), ('.odd/!', F, b''), ('.odd/.-', F, b''), ('.odd/..!', F, b''),
                    ('.odd/...', F, b'')], r)
                l1 = layer([('across', H, 'usr/lib/a'), ('.wh.gone', F, b''), ('opaque/.wh..wh..opq', F, b''), \#
                ('opaque/new', F, b'n'),
                    ('tofile', F, b'now a file'), ('todir', D, ''), ('todir/x', F, b'x'),
                    ('usr/lib/.wh.nothing', F, b''), ('soft/through', F, b't')], r)
                l2 = layer([('todir', F, b'a file again'), ('usr/lib/.wh.a', F, b''), ('gone', D, '', 0o700), \#
                ('implied/by/this', F, b'')], r)
                image([l0, l1, l2])
                """#)
        try directory.shell("umoci unpack --image oci:t um > umoci.log 2>&1")
        let fixture = try assemble(directory)
        #expect(try fixture.writer().omissions == [])
        let differences = try directory.mounting(
            """
            mount('image', 'mnt')
            a, b = describe('mnt'), describe('um/rootfs')
            compare(a, b, \(Int(Date.now.timeIntervalSince1970) - 3600))
            print(len(a))
            """)
        #expect(differences == "\(fixture.tree.count)\n")
    }

    /// GNU tar's sparse files, beside what `dir:` writes of random layers.
    @Test(.enabled(if: ErofsFixture.canMount, "needs root and EROFS in the kernel"))
    func randomImagesAsTheyAreUnpacked() throws {
        for _ in 0..<8 {
            let seed = UInt64.random(in: 0...(1 << 32))
            let directory = try TemporaryDirectory(in: TemporaryDirectory.parentInMemory)
            try directory.python(
                Self.image + #"""
                    import struct, subprocess
                    r = random.Random(\#(seed))
                    def acl():
                        # Permissions that have nothing to do with the mode, with and without somebody named.
                        some = [(2, 9)] * r.randrange(2)
                        list = [(1, 2 ** 32 - 1), *some, (4, 2 ** 32 - 1), *[(16, 2 ** 32 - 1)] * len(some)]
                        list.append((32, 2 ** 32 - 1))
                        packed = [struct.pack('<HHI', t, r.randrange(8), i) for t, i in list]
                        return struct.pack('<I', 2) + b''.join(packed)
                    def entries(n):
                        files, found = [], []
                        for k in range(r.choice([3, 40, 200])):
                            path = '/'.join(r.choice(['a', 'b', 'c', '..x', 'n' * r.choice([30, 200])]) \#
                    for _ in range(r.randint(1, 4)))
                            x = {}
                            if r.random() < 0.3: x['trusted.x%d' % r.randrange(3)] = \#
                    bytes([65]) * r.choice([0, 1, 50, 3000])
                            roll = r.random()
                            if roll < 0.35:
                                name = '%s/f%d' % (path, k); files.append(name)
                                size = r.choice([0, 1, 100, 4096, 5000, 70000, 600000])
                                if r.random() < 0.3: x['user.u'] = r.choice(['v', 'w' * 2000]).encode()
                                if r.random() < 0.1: x['system.posix_acl_access'] = acl()
                                if r.random() < 0.1: x['security.capability'] = \#(Self.capability)
                                found.append((name, F, r.randbytes(size), r.choice([0o644, 0o4711, 0]), x))
                            elif roll < 0.5 and files: found.append(('%s/h%d' % (path, k), H, r.choice(files)))
                            elif roll < 0.7:
                                if r.random() < 0.2: x['system.posix_acl_default'] = acl()
                                if r.random() < 0.2: x['system.posix_acl_access'] = acl()
                                mode = r.choice([0o755, 0o1777, 0o710])
                                found.append((path + '/d%d' % r.randrange(9), D, '', mode, x))
                            elif roll < 0.8: found.append(('%s/l%d' % (path, r.randrange(9)), L, r.choice('xy') * \#
                    r.choice([1, 50, 3000, 4095]), 0o777, x))
                            elif roll < 0.85: found.append((path + '/p%d' % r.randrange(9), P, '', 0o600, x))
                            elif roll < 0.9: found.append((path + '/c%d' % r.randrange(9), r.choice([C, B]), \#
                    (r.randrange(4096), r.randrange(1 << 20))))
                            elif n:
                                gone = r.choice(['d1', 'l1', 'a', 'b', '.wh..opq'])
                                found.append(('%s/.wh.%s' % (path, gone), F, b''))
                        return found
                    os.makedirs('sparse')
                    for n in range(4):
                        with open('sparse/s%d' % n, 'wb') as f:
                            f.truncate(r.choice([1, 4096, 10 ** 6, 10 ** 8]))
                            for _ in range(r.choice([0, 1, 30])):
                                f.seek(r.randrange(10 ** 6)); f.write(r.randbytes(r.choice([1, 700, 5000, 100_000])))
                    form = r.choice(['gnu', 'posix'])
                    sparse = subprocess.run(['tar', '--format=' + form, '-Sc', 'sparse'], stdout=subprocess.PIPE, \#
                    check=True).stdout
                    image([layer(entries(n), r) for n in range(r.randint(1, 4))] + [sparse])
                    """#)
            let fixture = try assemble(directory)
            let tars = directory.names().filter { $0.hasPrefix("layer-") }
            try FileManager.default.createDirectory(atPath: directory("out"), withIntermediateDirectories: false)
            let omissions = try extract(tars.map { try directory.bytes($0) }, to: directory("out"))
            #expect(omissions == [], "seed \(seed)")
            let differences = try directory.mounting(
                """
                mount('image', 'mnt')
                a, b = describe('mnt'), describe('out')
                # A pull leaves the directory that was there as it is where no entry describes it.
                if a['2e']['mtime'] == 0: a['2e'] = b['2e']
                compare(a, b, \(Int(Date.now.timeIntervalSince1970) - 3600))
                print(len(a))
                """)
            #expect(differences == "\(fixture.tree.count)\n", "seed \(seed)")
        }
    }

    @Test(.enabled(if: ErofsFixture.canMount, "needs root and EROFS in the kernel"))
    func aDirectoryOfManyFiles() throws {
        let count = 100_000
        var builder = ImageTreeBuilder(expecting: count, whiteouts: true)
        try builder.beginLayer("layer")
        for number in 0..<count {
            try builder.apply(
                LayerEntry("d/\(number * 7919 % count)", mode: UInt16(number % 512), mtime: Int64(number)))
        }
        try builder.endLayer()
        let writer = try ErofsWriter(tree: builder.finish(), regionSlots: [0])
        let directory = try TemporaryDirectory()
        try directory.write("image", writer.metadata())
        try directory.checkImage()
        let found = try directory.mounting(
            """
            mount('image', 'mnt')
            names = os.listdir('mnt/d')
            assert sorted(names) == sorted(str(n) for n in range(\(count)))
            # Every name is found by itself, and nothing else is.
            for n in range(\(count)):
                s = os.lstat('mnt/d/%d' % (n * 7919 % \(count)))
                assert (s.st_mode, s.st_mtime_ns) == (0o100000 | n % 512, n * 10 ** 9), n
            for n in ['-1', '000', '\(count)', '99999x', 'a', '!']: assert not os.path.exists('mnt/d/' + n)
            print(len(names), os.lstat('mnt/d').st_nlink)
            """)
        #expect(found == "\(count) 2\n")
    }

    /// Sparse files of up to 8 EiB, of which a few bytes are stored at places that no block begins at.
    @Test(.enabled(if: ErofsFixture.canMount, "needs root and EROFS in the kernel"))
    func hugeSparseFiles() throws {
        var entries: [LayerEntry] = []
        let run = DataRun(address: RegionAddress(slot: 0), length: 3000)
        let sizes: [UInt64] = [1 << 20, 1 << 34, 1 << 46, UInt64(Int64.max)]
        for (index, size) in sizes.enumerated() {
            var file = LayerEntry("s\(index)")
            file.size = size
            file.content = DataRun(address: RegionAddress(slot: UInt64(index)), length: 3000)
            file.segments = [
                LayerEntry.Segment(offset: size / 2 - 500, length: 1000),
                LayerEntry.Segment(offset: size - 2000, length: 2000),
            ]
            entries.append(file)
            file = LayerEntry("h\(index)")
            (file.size, file.segments) = (size, [])
            entries.append(file)
        }
        let writer = try ErofsWriter(tree: tree([entries]), regionSlots: [sizes.count])
        let directory = try TemporaryDirectory()
        let bytes = SeededGenerator.stored(Int(run.length))
        try directory.write("image", writer.metadata())
        let file = try #require(FileHandle(forWritingAtPath: directory("image")))
        for extent in writer.extents.dropFirst() {
            try file.seek(toOffset: extent.offset)
            let start = extent.address.offset
            try file.write(contentsOf: Data(bytes[start..<start + Int(extent.length)]))
        }
        try file.truncate(atOffset: writer.deviceBytes)
        try file.close()
        try directory.write("stored", bytes)
        try directory.checkImage()
        try directory.mounting(
            """
            mount('image', 'mnt')
            stored = open('stored', 'rb').read()
            for n, size in enumerate(\(sizes)):
                f = os.open('mnt/s%d' % n, os.O_RDONLY)
                assert os.fstat(f).st_size == size
                middle = os.pread(f, 3000, size // 2 - 1500)
                assert middle == bytes(1000) + stored[:1000] + bytes(1000), n
                # A file of 8 EiB - 1 cannot be read beyond its end.
                assert os.pread(f, 2500, size - 2500) == bytes(500) + stored[1000:], n
                assert os.pread(f, 5000, 0) == bytes(5000)
                h = os.open('mnt/h%d' % n, os.O_RDONLY)
                assert os.fstat(h).st_size == size
                assert os.pread(h, 5000, size - 5000) == bytes(5000) and os.pread(h, 100, size // 2) == bytes(100)
            """)
    }
}

extension SeededGenerator {
    fileprivate static func stored(_ count: Int) -> [UInt8] {
        var random = SeededGenerator(seed: 3)
        return random.bytes(count)
    }
}
