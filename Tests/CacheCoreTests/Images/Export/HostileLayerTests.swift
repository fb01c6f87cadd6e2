import CacheCore
import Foundation
import Testing

/// Layers that try to write outside of the directory that they are extracted to. Beside it lies a tree that must not
/// change.
@Suite struct HostileLayerTests {
    /// Each is a Python list of (name, type, link target or contents); `@` stands for the directory beside the
    /// destination.
    private static let attacks: [(name: String, layers: [String])] = [
        ("dot-dot", ["[('../outside/new', F, 'x')]"]),
        ("dot-dot inside", ["[('a/../../outside/secret', F, 'x')]"]),
        ("absolute", ["[('@/secret', F, 'x')]"]),
        ("link, then through it", ["[('l', L, '@'), ('l/secret', F, 'x'), ('l/new', F, 'x')]"]),
        ("relative link, then through it", ["[('l', L, '../outside'), ('l/secret', F, 'x')]"]),
        (
            "link in a lower layer",
            ["[('l', L, '@')]", "[('l/secret', F, 'x'), ('l/.wh.secret', F, ''), ('l/.wh..wh..opq', F, '')]"]
        ),
        ("links to links", ["[('a', L, 'b'), ('b', L, 'c/..'), ('c', L, '/../../outside'), ('a/secret', F, 'x')]"]),
        ("links in a circle", ["[('a', L, 'b'), ('b', L, 'a'), ('a/x', F, 'x')]"]),
        ("file over a link", ["[('l', L, '@/secret'), ('l', F, 'overwritten')]"]),
        ("directory over a link", ["[('l', L, '@'), ('l', D, ''), ('l/secret', F, 'x')]"]),
        ("directory over a link, with a mode", ["[('l', L, '@'), ('l', D, '')]"]),
        ("link over a directory", ["[('d', D, ''), ('d/secret', F, 'x'), ('d', L, '@'), ('d/secret', F, 'x')]"]),
        ("link over a directory, whose time is set last", ["[('d', D, ''), ('d', L, '@')]"]),
        ("link over a directory's parent", ["[('p', D, ''), ('p/outside', D, ''), ('p', L, '@/..')]"]),
        ("hard link to the outside", ["[('h', H, '@/secret'), ('h', F, 'x')]"]),
        ("hard link by dot-dot", ["[('h', H, '../outside/secret')]"]),
        ("hard link through a link", ["[('l', L, '@'), ('h', H, 'l/secret'), ('h', F, 'x')]"]),
        ("hard link to a link, then written", ["[('l', L, '@/secret'), ('h', H, 'l'), ('h', F, 'x')]"]),
        ("hard link to a link to a directory", ["[('l', L, '@'), ('h', H, 'l'), ('h/secret', F, 'x')]"]),
        ("hard link to a directory", ["[('d', D, ''), ('h', H, 'd')]"]),
        ("whiteout of dot-dot", ["[('a', D, '')]", "[('a/.wh...', F, ''), ('.wh...', F, '')]"]),
        ("whiteout of dot", ["[('a', D, '')]", "[('a/.wh..', F, '')]"]),
        ("whiteout of nothing", ["[('a', D, '')]", "[('a/.wh.', F, '')]"]),
        ("whiteout through a link", ["[('l', L, '@')]", "[('l/.wh.secret', F, '')]"]),
        ("whiteout of a link", ["[('l', L, '@')]", "[('.wh.l', F, '')]"]),
        ("opaque root link", ["[('l', L, '@'), ('l/.wh..wh..opq', F, '')]", "[('l/.wh..wh..opq', F, '')]"]),
        ("pipe over a link", ["[('l', L, '@/secret'), ('l', P, '')]"]),
        ("root as a link", ["[('.', L, '@'), ('secret', F, 'x')]"]),
        ("root as a file", ["[('./', F, 'x')]"]),
        ("proc", ["[('p', L, '/proc/self/cwd'), ('p/x', F, 'x'), ('q', L, '/proc/self/root'), ('q/tmp/x', F, 'x')]"]),
        ("zero byte", ["[('a\\0/../../outside/secret', F, 'x')]"]),
        ("long name", ["[('n' * 300, F, 'x')]"]),
        ("long path", ["[('n/' * 3000 + 'n', F, 'x')]"]),
        ("deep path", ["[('n/' * 1000 + 'n', F, 'x')]"]),
        ("unending links", ["[('l' + str(i), L, 'l' + str(i + 1)) for i in range(200)] + [('l0/x', F, 'x')]"]),
        (
            "a name as temporary ones have it",
            ["[('.layercache-cdb4ee2aea69cc6a-1', L, '@'), ('.layercache-cdb4ee2aea69cc6a-2/x', F, 'x')]"]
        ),
        (
            "links that multiply",
            [
                "[('a', D, '')] + [('a/' + str(i), L, ('/a/' + str(i + 1)) + '/.' * 900) for i in range(50)] + "
                    + "[('a/0/x', F, 'x')]"
            ]
        ),
    ]

    @Test(arguments: [false, true]) func nothingOutsideChanges(intoExisting: Bool) throws {
        let fixture = try ImportFixture()
        // A directory for each attack, named by its number.
        try fixture.python(
            """
            F, L, H, D, P = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE
            attacks = [\(Self.attacks.map { "[\($0.layers.joined(separator: ", "))]" }.joined(separator: ",\n"))]
            for number, layers in enumerate(attacks):
                outside = f'{os.getcwd()}/{number}/outside'
                os.makedirs(outside)
                with open(outside + '/secret', 'w') as secret: secret.write('secret\\n')
                os.chmod(outside + '/secret', 0o600); os.chmod(outside, 0o751)
                for path in [outside + '/secret', outside]: os.utime(path, (1000000000, 1000000000))
                if \(intoExisting ? 1 : 0): os.mkdir(f'{number}/destination')
                for index, layer in enumerate(layers):
                    with tarfile.open(f'{number}.{index}', 'w', format=tarfile.PAX_FORMAT) as t:
                        for n, kind, v in layer:
                            i = tarfile.TarInfo(n.replace('@', outside)); i.type = kind; i.mode = 0o777; i.mtime = 5
                            if kind == F: i.size = len(v)
                            else: i.linkname = v.replace('@', outside)
                            t.addfile(i, io.BytesIO(v.encode()) if kind == F else None)
            """)
        for (number, attack) in Self.attacks.enumerated() {
            let layers = try attack.layers.indices.map { try fileBytes(fixture("\(number).\($0)")) }
            let before = try state(of: fixture, number)
            do {
                _ = try extract(layers, to: fixture("\(number)/destination"))
                #expect(FileManager.default.fileExists(atPath: fixture("\(number)/destination")))
            } catch let error as CacheError {
                #expect(!error.description.contains("\n"), "\(attack.name)")
                let left = try fixture.shell(
                    "cd \(number); ls -d destination .layercache-* 2>/dev/null || true; "
                        + "ls -A destination 2>/dev/null || true"
                )
                #expect(left == (intoExisting ? "destination\n" : ""), "\(attack.name)")
            }
            #expect(try state(of: fixture, number) == before, "\(attack.name)")
        }
        #expect(
            try fixture.shell("ls -A | grep -vE '^[0-9]+(.[0-9])?$' || true") == "", "something is beside all of them")
    }

    private func state(of fixture: ImportFixture, _ number: Int) throws -> String {
        try fixture.shell(
            "cd \(number); find outside -printf '%p %y %m %U %G %s %T@ %C@ %n %i\\n' | sort; cat outside/secret; "
                + "ls -A | grep -v ^destination$"
        )
    }

    @Test func aSizeThatLies() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            b = bytearray(tar('a', big=5000))
            b[124:136] = b'77777777777\\0'
            b[148:156] = b' ' * 8; b[148:156] = b'%06o\\0 ' % sum(b[:512])
            open('t', 'wb').write(b)
            """)
        #expect(cacheError { _ = try extract([fileBytes(fixture("t"))], to: fixture("out")) } != nil)
        #expect(try fixture.shell("ls -A") == "t\n")
    }
}
