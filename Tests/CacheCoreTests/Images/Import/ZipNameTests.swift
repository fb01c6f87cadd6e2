import CacheCore
import Foundation
import Testing

/// What the entries of a ZIP are called is what its directory says, and stays inside.
@Suite struct ZipNameTests {
    /// `build([entry(name, ...)])`: ZIPs as no library writes them.
    private static let build = #"""
        def entry(name, data=b'x', local=None, flags=0, system=3, attributes=0o100644 << 16, method=0, extra=b''):
            return (name, data, name if local is None else local, flags, system, attributes, method, extra)
        def build(entries, prefix=b'', comment=b'', counted=True, order=None):
            out, records = bytearray(prefix), []
            base = len(prefix) if counted else 0
            for name, data, local, flags, system, attributes, method, extra in entries:
                at, crc, packed = len(out) - base, zlib.crc32(data), data
                if method == 8:
                    o = zlib.compressobj(9, 8, -15); packed = o.compress(data) + o.flush()
                known = (0, 0, 0) if flags & 8 else (crc, len(packed), len(data))
                out += struct.pack('<4sHHHHHIIIHH', b'PK\3\4', 20, flags, method, 0, 0x5a21, *known, len(local), \#
        0) + local + packed
                if flags & 8: out += struct.pack('<4sIII', b'PK\7\10', crc, len(packed), len(data))
                records.append(struct.pack('<4sBBHHHHHIIIHHHHHII', b'PK\1\2', 20, system, 20, flags, method, 0, \#
        0x5a21, crc, len(packed),
                    len(data), len(name), len(extra), 0, 0, 0, attributes, at) + name + extra)
            directory, at = b''.join(records[i] for i in order or range(len(records))), len(out) - base
            out += directory + struct.pack('<4sHHHHIIH', b'PK\5\6', 0, 0, len(records), len(records), len(directory), \#
        at, len(comment))
            open('in.zip', 'wb').write(bytes(out) + comment)

        """#

    /// What the tar has, as `name`, `name/` or `name -> target`, with the bytes of files.
    private func entries(_ script: String) throws -> [String] {
        let fixture = try ImportFixture()
        try fixture.python(Self.build + script)
        let tar = try ImageSource.open(.zip(file: fixture("in.zip"))).layers[0].open().readAll()
        try Data(tar).write(to: URL(fileURLWithPath: fixture("out.tar")))
        let text = try fixture.python(
            """
            with tarfile.open('out.tar', encoding='utf-8', errors='backslashreplace') as t:
                for m in t: print(m.name + ('/' if m.isdir() else ' -> ' + m.linkname if m.issym() else '=' + \
            t.extractfile(m).read().decode()))
            """)
        return text.split(separator: "\n").map(String.init)
    }

    @Test(arguments: [
        ("entry(b'/', b''), entry(b'm.py')", ["m.py=x"]),
        ("entry(b'./', b''), entry(b'./m.py')", ["m.py=x"]),
        ("entry(b'a//b'), entry(b'c/./d')", ["a/b=x", "c/d=x"]),
        ("entry(b'/etc/x'), entry(b'//y')", ["etc/x=x", "y=x"]),
        ("entry(b'../x'), entry(b'a/../y'), entry(b'../../', b'')", ["x=x", "a/y=x"]),
        ("entry(b'..', b''), entry(b'a')", ["a=x"]),
        ("entry(b'd\\\\f', system=0), entry(b'e/g\\\\h', system=0)", ["d/f=x", "e/g\\h=x"]),
        ("entry(b'd\\\\f')", ["d\\f=x"]),
        ("entry(b'caf\\x82', system=0)", ["café=x"]),
        ("entry('café'.encode(), system=0), entry('thé'.encode())", ["café=x", "thé=x"]),
        ("entry(b'caf\\xe9'), entry(b'th\\xe9', flags=0x800)", ["caf\\xe9=x", "th\\xe9=x"]),
        ("entry(b'a', b'1'), entry(b'a', b'2')", ["a=2"]),
        ("entry(b'a', b'1'), entry(b'./a', b'2')", ["a=2"]),
        ("entry(b'd/', b'content'), entry(b'd/f')", ["d/", "d/f=x"]),
        ("entry(b'd', b'', attributes=0o40755 << 16)", ["d/"]),
        ("entry(b'd/', b'', attributes=0o100644 << 16)", ["d/"]),
        ("entry(b'd', b'', system=0, attributes=0x10)", ["d/"]),
        ("entry(b'l', b'target', attributes=0o120777 << 16)", ["l -> target"]),
        ("entry(b'right', local=b'wrong')", ["right=x"]),
        ("entry(b'right', local=b'longer, and wrong')", ["right=x"]),
        ("entry(b'right', local=b'../wrong'), entry(b'b', local=b'\\xff\\xfe', flags=0x800)", ["right=x", "b=x"]),
        ("entry(b'a', b'hello', flags=8, method=8), entry(b'b', b'hello', flags=8)", ["a=hello", "b=hello"]),
        ("entry(b'a\\0b')", ["a=x"]),
        (
            "entry(b'caf?', extra=struct.pack('<HHBI', 0x7075, 10, 1, zlib.crc32(b'caf?')) + 'café'.encode())",
            ["café=x"]
        ),
        (
            "entry(b'caf?', extra=struct.pack('<HHBI', 0x7075, 10, 1, 7) + 'café'.encode())", ["caf?=x"]
        ),
    ])
    func names(_ script: String, _ expected: [String]) throws {
        #expect(try entries("build([\(script)])") == expected)
    }

    @Test(arguments: [
        ("comment=b'c' * 60000", ["a=x", "b=y"]),
        ("comment=b'PK\\5\\6' + b'c' * 60", ["a=x", "b=y"]),
        ("prefix=b'#!/bin/sh\\n' * 9", ["a=x", "b=y"]),
        ("prefix=b'#!/bin/sh\\n' * 9, counted=False", ["a=x", "b=y"]),
        ("order=[1, 0]", ["a=x", "b=y"]),
    ])
    func whatIsAroundThem(_ arguments: String, _ expected: [String]) throws {
        #expect(try entries("build([entry(b'a'), entry(b'b', b'y')], \(arguments))") == expected)
    }

    /// Of several entries of one name the directory's last counts, wherever in the file they lie.
    @Test func theDirectorySaysWhichIsTheLast() throws {
        #expect(try entries("build([entry(b'a', b'1'), entry(b'a', b'2')], order=[1, 0])") == ["a=1"])
    }

    @Test func moreThanFourGigabytesAreCountedRight() throws {
        // Sizes and places in the fields of ZIP64, as Python writes them for what it does not know the size of.
        let script = """
            with zipfile.ZipFile('in.zip', 'w') as z:
                with z.open(zipfile.ZipInfo('big'), 'w', force_zip64=True) as f: f.write(b'x')
                z.writestr('small', b'y')
            """
        #expect(try entries(script) == ["big=x", "small=y"])
    }

    @Test(arguments: [
        ("entry(b'')", "cannot be one"), ("entry(b'.')", "cannot be one"),
        ("entry(b'a/..'), entry(b'..')", "cannot be one"),
        ("entry(b'secret', flags=1)", "'secret'"),
        ("entry(b'right', local=b'wrong/')", "not about the same files"),
        ("entry(b'p', b'', attributes=0o10644 << 16)", ""),
    ])
    func whatIsRefusedByName(_ script: String, _ text: String) throws {
        let error = cacheError { _ = try entries("build([\(script)])") }
        #expect(text.isEmpty || error?.message.contains(text) == true, "\(String(describing: error))")
    }

    @Test func whatIsNoZip() throws {
        let fixture = try ImportFixture()
        for script in ["open('in.zip', 'wb').write(b'x' * 5000)", "open('in.zip', 'wb')"] {
            try fixture.python(script)
            #expect(cacheError { _ = try ImageSource.open(.zip(file: fixture("in.zip"))) }?.code == .invalidInput)
        }
        // A directory that is not where its end says, and one with other counts.
        for damage in ["b[-6] ^= 0x40; b[-10] ^= 0x10", "b[-12] += 1; b[-14] += 1", "b[-18] ^= 1"] {
            try fixture.python(
                Self.build
                    + "build([entry(b'a')]); b = bytearray(open('in.zip', 'rb').read()); \(damage); "
                    + "open('in.zip', 'wb').write(b)"
            )
            _ = cacheError { _ = try ImageSource.open(.zip(file: fixture("in.zip"))).layers[0].open().readAll() }
        }
    }
}
