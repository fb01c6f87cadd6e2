import CacheCore
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

/// Applies tars as layers to `destination`, lowest first, the way a pull does: each is split, and the files are written
/// chunk by chunk, the last chunk first.
func extract(_ tars: [[UInt8]], to destination: String, whiteouts: Bool = true) throws -> [String] {
    let output = try DirectoryDestination(destination)
    var builder = ImageTreeBuilder(whiteouts: whiteouts)
    var layers: [SplitLayer] = []
    for (index, tar) in tars.enumerated() {
        let layer = try SplitLayer(PiecewiseSource(tar, piece: 70_001))
        try builder.beginLayer("layer \(index)")
        if !layer.entryTable.isEmpty { try layer.entryTable.withUnsafeBytes { try builder.append(table: $0) } }
        try builder.endLayer()
        layers.append(layer)
    }
    let tree = builder.finish()
    let plan = try ContentPlan(tree, slots: layers.map { $0.summary.slots(in: .data) })
    let writer = try TreeWriter(tree, plan, into: output.root)
    try writer.makeDirectories()
    try writer.makeEmptyOnes(0..<tree.count)
    for chunk in plan.chunks.reversed() {
        let bytes = try #require(layers[chunk.layer].data[chunk.slot])
        try bytes.withUnsafeReadableBytes { _ = try writer.write(chunk, $0) }
    }
    try writer.makeFurtherNames()
    try output.commit(writer)
    return writer.omissions
}

@Suite struct DirectoryDestinationTests {
    private static let isRoot = geteuid() == 0

    /// Type, mode, owner, size, links, time, name and target of everything, and all contents and extended attributes.
    private static let describe = #"""
        def describe(top):
            out, inodes = [], {}
            for d, ds, fs in sorted(os.walk(top)):
                for n in sorted([''] + ds + fs) if d == top else sorted(ds + fs):
                    p = os.path.join(d, n) if n else d
                    s = os.lstat(p)
                    first = inodes.setdefault(s.st_ino, os.path.relpath(p, top))
                    xattrs = {a: os.getxattr(p, a, follow_symlinks=False).hex() for a in os.listxattr(p, \#
        follow_symlinks=False)}
                    body = os.readlink(p) if os.path.islink(p) else sha(open(p, 'rb').read()) if os.path.isfile(p) \#
        else None
                    import stat as st
                    out.append([os.path.relpath(p, top), first, oct(s.st_mode), s.st_uid, s.st_gid, s.st_mtime_ns, \#
        xattrs, body,
                                s.st_rdev if st.S_ISCHR(s.st_mode) or st.S_ISBLK(s.st_mode) else 0])
            return out

        """#

    @Test func aTreeThereAndBack() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            import socket
            os.makedirs('in/a/b'); os.makedirs('in/empty'); os.chmod('in/empty', 0o2711)
            open('in/a/file', 'wb').write(os.urandom(100000)); os.chmod('in/a/file', 0o4755)
            os.link('in/a/file', 'in/a/b/hard'); os.symlink('../nowhere/\\u00fc', 'in/a/link'); os.mkfifo('in/pipe', \
            0o640)
            open(b'in/not \\xff utf-8', 'w').write('x'); os.makedirs('in/' + 'd' * 100); \
            open('in/' + 'd' * 100 + '/\\u00fc' + 'f' * 120, 'w').write('long')
            open(b'in/' + b'd' * 100 + b'/\\xff' + b'f' * 120, 'w').write('long and not utf-8')
            with open('in/sparse', 'wb') as f: f.truncate(10 << 20); f.seek(5 << 20); f.write(b'middle')
            try: os.setxattr('in/a/file', 'user.note', b'a\\0b'); os.setxattr('in/a', 'user.dir', b'd')
            except OSError as e: print('no extended attributes here:', e)
            if os.geteuid() == 0:
                os.mknod('in/null', 0o20666, os.makedev(1, 3)); os.chown('in/pipe', 1234, 3000000)
                os.chown('in/a/file', 55, 66); os.chmod('in/a/file', 0o4755)
                try: os.setxattr('in/a/file', 'security.capability', \
            bytes.fromhex('0100000200040000000000000000000000000000'))
                except OSError as e: print('no capabilities here:', e)
                try:
                    for n in ('in/a/link', 'in/null', 'in/pipe'): os.setxattr(n, 'trusted.note', n.encode(), \
            follow_symlinks=False)
                except OSError as e: print('no attributes of links and devices here:', e)
            os.utime('in/a/b/hard', ns=(1, 1234567890123456789)); os.utime('in/a/link', ns=(1, 5), \
            follow_symlinks=False)
            os.utime('in/pipe', ns=(1, -2000000000)); os.utime('in/a/b', ns=(1, 99)); os.utime('in', ns=(1, 7 * 10**9))
            s = socket.socket(socket.AF_UNIX); os.chdir('in'); s.bind('socket'); os.utime('.', ns=(1, 7 * 10**9))
            """)
        let notes = Notes()
        let source = try ImageSource.open(.directory(fixture("in"))) { notes.add($0) }
        let tar = try source.layers[0].open().readAll()
        try #require(notes.all.count == 1)
        #expect(notes.all[0].contains("socket"))
        #expect(try source.layers[0].open().readAll() == tar, "the same tree gives the same bytes")
        #expect(try extract([tar], to: fixture("out")).isEmpty)
        try fixture.python(
            Self.describe + """
                os.utime('in', ns=(1, 7 * 10**9)); os.remove('in/socket'); os.utime('in', ns=(1, 7 * 10**9))
                a, b = describe('in'), describe('out')
                for x, y in zip(a, b): assert x == y, (x, y)
                assert len(a) == len(b)
                """)
        // GNU tar reads the same in it.
        try Data(tar).write(to: URL(fileURLWithPath: fixture("out.tar")))
        try fixture.python(
            Self.describe + """
                os.mkdir('gnu'); subprocess.run(['tar', '-C', 'gnu', '--xattrs', '--xattrs-include=*', '-xpf', \
                'out.tar'], check=True)
                a, b = describe('gnu'), describe('out')
                for x, y in zip(a, b): assert x == y, (x, y)
                """)
    }

    @Test func layersOverOneAnother() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            def layer(name, *entries):
                with tarfile.open(name, 'w', format=tarfile.PAX_FORMAT) as t:
                    for e in entries:
                        n, v = e[0], e[1]
                        i = tarfile.TarInfo(n); i.mtime = 1600000000
                        if v is None: i.type, i.mode = tarfile.DIRTYPE, 0o755; t.addfile(i)
                        elif v.startswith('->'): i.type, i.linkname = tarfile.SYMTYPE, v[2:]; t.addfile(i)
                        elif v.startswith('=>'): i.type, i.linkname = tarfile.LNKTYPE, v[2:]; t.addfile(i)
                        else: i.size = len(v); t.addfile(i, io.BytesIO(v.encode()))
            layer('l0', ('usr', None), ('usr/lib', None), ('usr/lib/x', 'low x'), ('lib', '->usr/lib'), ('abs', \
            '->/usr/lib'), ('var', None),
                  ('run', '->/gone/run'), ('gone1', 'x'), ('dir', None), ('dir/a', 'a'), ('dir/b', 'b'), ('dir/sub', \
            None), ('dir/sub/c', 'c'),
                  ('opaque', None), ('opaque/old', 'x'), ('opaque/deep', None), ('opaque/deep/old', 'x'), ('tofile', \
            None), ('tofile/x', 'x'), ('todir', 'x'),
                  ('keep', None), ('keep/low', 'x'), ('up', '->../../../usr'))
            layer('l1', ('lib/y', 'new y'), ('abs/z', 'new z'), ('run/made', 'm'), ('.wh.gone1', ''), ('dir/.wh.a', \
            ''), ('dir/.wh.sub', ''), ('dir/new', 'n'),
                  ('opaque', None), ('opaque/new', 'n'), ('opaque/deep/new', 'n'), ('opaque/.wh..wh..opq', ''), \
            ('tofile', 'file now'), ('todir', None), ('todir/x', 'x'),
                  ('keep/.wh.nothing', ''), ('nowhere/.wh.x', ''), ('/rooted', 'r'), ('./dotted/./x', 'd'), ('hard', \
            '=>usr/lib/x'), ('hard2', '=>./lib/x'),
                  ('up/lib/w', 'w'), ('.wh..wh.plnk', ''))
            layer('l2', ('lib/.wh.x', ''), ('lib', None), ('lib/own', 'o'))
            """)
        let layers = try (0..<3).map { try fileBytes(fixture("l\($0)")) }
        let notes = try extract(layers, to: fixture("out"))
        #expect(notes.isEmpty || !Self.isRoot && notes.allSatisfy { $0.contains("another owner") })
        let files = try fixture.shell("cd out; find . ! -type d -printf '%p %l\\n' | sort")
        #expect(
            files == """
                ./abs /usr/lib
                ./dir/b 
                ./dir/new 
                ./dotted/x 
                ./gone/run/made 
                ./hard 
                ./hard2 
                ./keep/low 
                ./lib/own 
                ./opaque/deep/new 
                ./opaque/new 
                ./rooted 
                ./run /gone/run
                ./todir/x 
                ./tofile 
                ./up ../../../usr
                ./usr/lib/w 
                ./usr/lib/y 
                ./usr/lib/z 

                """)
        #expect(
            try fixture.shell("cd out; cat hard hard2; stat -c %h hard; stat -c %Y usr/lib dir")
                == "low xlow x2\n1600000000\n1600000000\n")
    }

    @Test(
        .enabled(if: BuiltProgram.isInstalled("umoci") && isRoot, "needs umoci (apt-get install umoci) and root"))
    func theSameAsUmoci() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            os.makedirs('one/etc'); os.makedirs('one/usr/bin'); os.symlink('usr/bin', 'one/bin')
            for i in range(300): open(f'one/usr/bin/{i}', 'w').write('x' * i * 7)
            os.chmod('one/usr/bin/7', 0o6755); os.link('one/usr/bin/8', 'one/etc/eight'); os.chown('one/etc/eight', \
            12, 13)
            """)
        try fixture.shell(
            """
            umoci init --layout oci >/dev/null; umoci new --image oci:t >/dev/null
            tar -C one -cf one.tar . ; umoci raw add-layer --image oci:t one.tar >/dev/null
            mkdir two; mkdir two/etc two/usr two/usr/bin; touch two/etc/.wh.eight two/usr/bin/.wh..wh..opq; \
            echo new > two/usr/bin/new
            tar -C two -cf two.tar etc usr; umoci raw add-layer --image oci:t two.tar >/dev/null
            umoci raw unpack --image oci:t rootfs >/dev/null 2>&1 || umoci unpack --image oci:t bundle >/dev/null
            [ -d rootfs ] || mv bundle/rootfs rootfs
            """)
        let image = try ImageSource.open(.ociLayout(directory: fixture("oci"), tag: "t"))
        _ = try extract(image.layers.map { try $0.open().readAll() }, to: fixture("out"))
        try fixture.python(
            Self.describe + """
                def plain(top): return [e[:5] + e[7:] for e in describe(top)[1:]]
                a, b = plain('rootfs'), plain('out')
                for x, y in zip(a, b): assert x == y, (x, y)
                assert len(a) == len(b)
                """)
    }

    @Test func sparseFilesStaySparse() throws {
        let fixture = try ImportFixture()
        try fixture.shell(
            "truncate -s 1G s; echo x | dd of=s bs=1 seek=500000000 conv=notrunc 2>/dev/null; for f in gnu posix; "
                + "do tar --format=$f -Scf $f.tar s; done"
        )
        for format in ["gnu", "posix"] {
            _ = try extract([fileBytes(fixture("\(format).tar"))], to: fixture(format))
            #expect(
                try fixture.shell("stat -c %s \(format)/s; dd if=\(format)/s bs=1 skip=500000000 count=1 2>/dev/null")
                    == "1073741824\nx")
            #expect(try Int(fixture.shell("du -k \(format)/s | cut -f1").dropLast()) ?? .max < 1000)
        }
    }

    @Test func zerosOfASparseFileBecomeHolesAgain() throws {
        let fixture = try ImportFixture()
        try fixture.shell(
            """
            mkdir in; cd in; truncate -s 100M end; truncate -s 70000001 odd
            for at in 1 8191 40000000 70000000; do printf x | dd of=odd bs=1 seek=$at conv=notrunc 2>/dev/null; done
            head -c 4095 /dev/zero > small; { head -c 5000 /dev/zero; seq 1 3000; } > mixed
            """)
        let tar = try ImageSource.open(.directory(fixture("in"))).layers[0].open().readAll()
        _ = try extract([tar], to: fixture("out"))
        #expect(try fixture.shell("diff -r in out; stat -c %s out/end out/odd") == "104857600\n70000001\n")
        #expect(try Int(fixture.shell("du -k out | cut -f1").dropLast()) ?? .max < 1000)
    }

    /// A name that begins with `.wh.` removes something in an image's layer, and is a file like others in a directory
    /// or ZIP.
    @Test(arguments: [true, false]) func whiteoutsWhereTheyMeanSomething(_ whiteouts: Bool) throws {
        let fixture = try ImportFixture()
        try fixture.shell("mkdir in; cd in; touch a .wh.a .wh..wh..opq .wh. .wh..; mkdir .wh.d; touch .wh.d/x")
        let tar = try ImageSource.open(.directory(fixture("in"))).layers[0].open().readAll()
        if whiteouts {
            #expect(cacheError { _ = try extract([tar], to: fixture("out")) }?.code == .invalidInput)
        } else {
            _ = try extract([tar], to: fixture("out"), whiteouts: false)
            #expect(try fixture.shell("diff -r in out").isEmpty)
        }
    }

    @Test func timesBeforeTheEpoch() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            os.mkdir('in')
            for i, t in enumerate([-1500000000, -500000000, -1, -10**9, 0, -(10**18) + 1, 1]):
                open(f'in/{i}', 'w'); os.utime(f'in/{i}', ns=(t, t))
            subprocess.run(['tar', '--format=posix', '-C', 'in', '-cf', 'gnu.tar', '.'], check=True)
            """)
        let own = try ImageSource.open(.directory(fixture("in"))).layers[0].open().readAll()
        _ = try extract([own], to: fixture("own"))
        _ = try extract([fileBytes(fixture("gnu.tar"))], to: fixture("gnu"))
        let look = "for i in 0 1 2 3 4 5 6; do stat -c %.9Y $i; done"
        let expected = try fixture.shell("cd in; \(look)")
        for place in ["own", "gnu"] { #expect(try fixture.shell("cd \(place); \(look)") == expected, "\(place)") }
    }

    @Test func ownersBeyond32Bits() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            with tarfile.open('t.tar', 'w', format=tarfile.GNU_FORMAT) as t:
                for n, uid in [('nobody', -2), ('root', 0), ('far', 1 << 40 | 7)]:
                    i = tarfile.TarInfo(n); i.uid = i.gid = uid; t.addfile(i)
            """)
        _ = try extract([fileBytes(fixture("t.tar"))], to: fixture("out"))
        let owners = try fixture.shell("cd out; stat -c '%u %g' nobody root far")
        #expect(owners == "4294967294 4294967294\n0 0\n65534 65534\n" || !Self.isRoot, "\(owners)")
    }

    /// Modes and times of directories, whatever was removed and made again under their names and numbers.
    @Test func directoriesThatCameAndWent() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            def layer(name, *entries):
                with tarfile.open(name, 'w') as t:
                    for n, mode in entries:
                        i = tarfile.TarInfo(n); i.mode = mode or 0o644; i.mtime = 1000 + (mode or 0)
                        if mode is not None: i.type = tarfile.DIRTYPE
                        t.addfile(i)
            layer('l0', ('a', 0o500), ('a/b', 0o711), ('a/b/c', 0o701), ('x', 0o501), ('gone', 0o000), ('twice', 0o700))
            layer('l1', ('.wh.gone', None), ('a/.wh.b', None), ('a/n/m/f', None), ('x', None), ('q/f', None), \
            ('twice', 0o750), ('z', 0o111))
            """)
        _ = try extract((0..<2).map { try fileBytes(fixture("l\($0)")) }, to: fixture("out"))
        let found = try fixture.shell(
            "cd out; find . -mindepth 1 -type d -printf '%p %m\n' | sort; stat -c %Y a twice z")
        #expect(
            found == "./a 500\n./a/n 755\n./a/n/m 755\n./q 755\n./twice 750\n./z 111\n1320\n1488\n1073\n", "\(found)")
    }

    /// Pipes, devices and symbolic links can have several names, too.
    @Test func hardLinksOfWhatIsNoFile() throws {
        let fixture = try ImportFixture()
        let notes = Notes()
        try fixture.python(
            """
            os.mkdir('in'); os.symlink('x', 'in/a'); os.link('in/a', 'in/b', follow_symlinks=False); \
            os.mkfifo('in/p'); os.link('in/p', 'in/q')
            if os.geteuid() == 0: os.mknod('in/null', 0o20666, os.makedev(1, 3)); os.link('in/null', 'in/null2')
            """)
        let tar = try ImageSource.open(.directory(fixture("in"))) { notes.add($0) }.layers[0].open().readAll()
        _ = try extract([tar], to: fixture("out"))
        #expect(
            try fixture.shell("cd out; stat -c '%n %h %F' *")
                == fixture.shell("cd in; stat -c '%n %h %F' *"))
        #expect(notes.all.isEmpty)
    }

    @Test func onlyEmptyDirectories() throws {
        let fixture = try ImportFixture()
        try fixture.shell("mkdir full empty; touch full/diary; echo x > file; tar cf t.tar file")
        let tar = try fileBytes(fixture("t.tar"))
        #expect(cacheError { _ = try extract([tar], to: fixture("full")) }?.message.contains("not empty") == true)
        #expect(cacheError { _ = try extract([tar], to: fixture("file")) } != nil)
        #expect(cacheError { _ = try extract([tar], to: fixture("no/such")) } != nil)
        #expect(cacheError { _ = try extract([Array(tar[..<513])], to: fixture("empty")) } != nil)
        #expect(cacheError { _ = try extract([Array(tar[..<513])], to: fixture("new")) } != nil)
        #expect(
            try fixture.shell("find . ! -name '*.tar' | sort | tr '\\n' ' '") == ". ./empty ./file ./full ./full/diary "
        )
        #expect(try extract([tar], to: fixture("empty")).isEmpty)
        #expect(try fixture.shell("ls empty") == "file\n")
    }

    private final class Notes: @unchecked Sendable {
        // Filled and read by one thread, in turn: the source that notes is read by the test itself.
        private(set) var all: [String] = []
        func add(_ note: String) { all.append(note) }
    }
}
