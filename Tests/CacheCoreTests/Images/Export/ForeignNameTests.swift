import CacheCore
import Testing

/// Tars that GNU tar makes of names in no known encoding: it calls them UTF-8 in its pax headers all the same.
@Suite struct ForeignNameTests {
    @Test(arguments: [
        "--format=posix", "--format=posix -S --sparse-version=0.0", "--format=posix -S --sparse-version=0.1",
        "--format=posix -S --sparse-version=1.0", "--format=posix --listed-incremental=snapshot", "--format=gnu -S",
        "--format=gnu --listed-incremental=snapshot",
    ])
    func namesThatAreNotUTF8(_ options: String) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            #"""
            os.makedirs(b'in/d\xff/sub'); os.makedirs(b'in/long' + b'\xfe' * 200)
            open(b'in/d\xff/f\xe9', 'w').write('x' * 5000); open(b'in/plain', 'w').write('p')
            os.link(b'in/d\xff/f\xe9', b'in/hard\xfc'); os.symlink(b'd\xff/f\xe9', b'in/soft\xfb')
            os.symlink(b'\xfd' * 150, b'in/plainlink'); open(b'in/\xc3\xbc', 'w').write('utf-8')
            with open(b'in/s\xff', 'wb') as f:
                for i in range(40): f.seek(i << 18); f.write(b'data %d' % i)
                f.truncate(20 << 20)
            for p in (b'in/d\xff/f\xe9', b'in/s\xff'): os.utime(p, ns=(1, -500000000))
            """#)
        try fixture.shell("tar \(options) --sort=name -C in -cf t.tar .")
        _ = try extract([fileBytes(fixture("t.tar"))], to: fixture("out"))
        // GNU's own format has whole seconds.
        let time = options.contains("=gnu") ? "" : "%T@"
        let look =
            "find . ! -path . \\( ! -type d -printf '%p %y %s \(time) %l\\n' -o -printf '%p %y \(time)\\n' \\) | "
            + "sort | od -c; find . -type f | sort | xargs -d '\\n' sha256sum"
        #expect(try fixture.shell("cd out; \(look)") == fixture.shell("cd in; \(look)"))
    }
}
