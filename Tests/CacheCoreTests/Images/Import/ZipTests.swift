import CacheCore
import Foundation
import Testing

@Suite struct ZipTests {
    private func tar(_ path: String, limits: ImportLimits = ImportLimits()) throws -> [UInt8] {
        try ImageSource.open(.zip(file: path), limits: limits).layers[0].open().readAll()
    }

    @Test func entriesAsTheyAre() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            with zipfile.ZipFile('in.zip', 'w') as z:
                def add(n, data, mode, how=zipfile.ZIP_DEFLATED):
                    i = zipfile.ZipInfo(n, (2020, 2, 3, 4, 5, 6)); i.external_attr = mode << 16; i.compress_type = how
                    z.writestr(i, data)
                add('bin/', b'', 0o040755)
                add('bin/run', b'#!/bin/sh\\n' * 5000, 0o100755)
                add('stored', bytes(range(256)) * 4, 0o100640, zipfile.ZIP_STORED)
                add('empty', b'', 0o100600)
                add('li\\u00e9\\u4e2d', 'bin/r\\u00fcn'.encode(), 0o120777)
                add('d' * 90 + '/' + 'f' * 90, b'deep', 0o100644)
            """)
        let bytes = try tar(fixture("in.zip"))
        #expect(try tar(fixture("in.zip")) == bytes)
        try Data(bytes).write(to: URL(fileURLWithPath: fixture("out.tar")))
        try fixture.python(
            """
            z = zipfile.ZipFile('in.zip')
            with tarfile.open('out.tar') as t:
                assert [m.name + ('/' if m.isdir() else '') for m in t] == z.namelist(), t.getnames()
                for m in t:
                    if m.isfile(): assert t.extractfile(m).read() == z.read(m.name), m.name
                by = {m.name: m for m in t}
                assert by['bin/run'].mode == 0o755 and by['stored'].mode == 0o640 and by['bin'].isdir()
                assert by['li\\u00e9\\u4e2d'].linkname == 'bin/r\\u00fcn', by
            """)
        try fixture.shell("tar tvf out.tar > /dev/null")
    }

    @Test func truncatedAndDamaged() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            with zipfile.ZipFile('in.zip', 'w', zipfile.ZIP_DEFLATED) as z:
                for n in 'abc': z.writestr(n, random.Random(1).randbytes(900) + b'text' * 900)
            """)
        let whole = try fileBytes(fixture("in.zip"))
        for length in stride(from: 0, to: whole.count, by: 211) {
            try Data(whole[..<length]).write(to: URL(fileURLWithPath: fixture("cut.zip")))
            #expect(cacheError { _ = try tar(fixture("cut.zip")) } != nil, "\(length) of \(whole.count) bytes")
        }
        for place in stride(from: 60, to: 900, by: 97) {
            var damaged = whole
            damaged[place] ^= 0x41
            try Data(damaged).write(to: URL(fileURLWithPath: fixture("damaged.zip")))
            #expect(cacheError { _ = try tar(fixture("damaged.zip")) } != nil, "at \(place)")
        }
    }

    @Test func encrypted() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            with zipfile.ZipFile('in.zip', 'w') as z: z.writestr('secret', b'x' * 100)
            b = bytearray(open('in.zip', 'rb').read())
            b[6] |= 1; b[b.index(b'PK\\1\\2') + 8] |= 1
            open('in.zip', 'wb').write(b)
            """)
        let error = cacheError { _ = try tar(fixture("in.zip")) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains("encrypted") == true)
    }

    @Test func bombsStopAtTheLimit() throws {
        let fixture = try ImportFixture()
        // 2.5 GiB of one byte in 2.5 MB, without writing 2.5 GiB: one deflated block again and again, and a checksum
        // that is never reached.
        try fixture.python(
            """
            piece = zlib.compressobj(9, zlib.DEFLATED, -15)
            block = piece.compress(b'x' * (1 << 24)) + piece.flush(zlib.Z_FULL_FLUSH)
            data = block * 160 + b'\\x03\\x00'
            size = 160 << 24
            zip64 = struct.pack('<HHQQ', 1, 16, size, len(data))
            local = struct.pack('<4sHHHHHIIIHH', b'PK\\3\\4', 45, 0, 8, 0, 33, 0, 0xffffffff, 0xffffffff, 1, \
            20) + b'z' + zip64
            central = struct.pack('<4sHHHHHHIIIHHHHHII', b'PK\\1\\2', 45, 45, 0, 8, 0, 33, 0, 0xffffffff, 0xffffffff, \
            1, 20, 0, 0, 0, 0o100644 << 16, 0) + b'z' + zip64
            at = len(local) + len(data)
            end = struct.pack('<4sHHHHIIH', b'PK\\5\\6', 0, 0, 1, 1, len(central), at, 0)
            open('big.zip', 'wb').write(local + data + central + end)
            # Many entries that share one compressed body, as in the bombs that need no nesting.
            body = zlib.compressobj(9, zlib.DEFLATED, -15)
            kernel = body.compress(b'x' * (4 << 20)) + body.flush()
            crc = zlib.crc32(b'x' * (4 << 20))
            first = struct.pack('<4sHHHHHIIIHH', b'PK\\3\\4', 20, 0, 8, 0, 33, crc, len(kernel), 4 << 20, 1, 0) + b'a' \
            + kernel
            entries = b''.join(struct.pack('<4sHHHHHHIIIHHHHHII', b'PK\\1\\2', 20, 20, 0, 8, 0, 33, crc, len(kernel), \
            4 << 20, 1, 0, 0, 0, 0, 0o100644 << 16, 0) + bytes([97 + i % 26]) for i in range(5000))
            open('overlap.zip', 'wb').write(first + entries + struct.pack('<4sHHHHIIH', b'PK\\5\\6', 0, 0, 5000, 5000, \
            len(entries), len(first), 0))
            """)
        for name in ["big.zip", "overlap.zip"] {
            var limits = ImportLimits()
            limits.expansionFloor = 32 << 20
            limits.expansionFactor = 200
            let layer = try ImageSource.open(.zip(file: fixture(name)), limits: limits).layers[0]
            var total = 0
            let error = cacheError { try layer.open().drain { total += $0.count } }
            // Entries that share their bytes are refused before any is read.
            #expect(
                error?.code == .limitExceeded || name == "overlap.zip" && error != nil && total == 0,
                "\(name): \(String(describing: error)) after \(total)")
            #expect(total <= 600_000_000)
        }
    }

    /// libarchive shows one entry for each place in the file; what a listing shows beside it would vanish.
    @Test(arguments: [1, 3, 70_000]) func entriesThatShareTheirPlace(_ count: Int) throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            n = \(count)
            with zipfile.ZipFile('good.zip', 'w') as z:
                for i in range(n): z.writestr(zipfile.ZipInfo(str(i)), b'')
            first = struct.pack('<4sHHHHHIIIHH', b'PK\\3\\4', 20, 0, 0, 0, 33, 0, 0, 0, 1, 0) + b'a'
            central = b''.join(struct.pack('<4sHHHHHHIIIHHHHHII', b'PK\\1\\2', 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, \
            0, 0, 0o100644 << 16, 0) + bytes([97 + i]) for i in range(2))
            open('bad.zip', 'wb').write(first + central + struct.pack('<4sHHHHIIH', b'PK\\5\\6', 0, 0, 2, 2, \
            len(central), len(first), 0))
            """)
        #expect(try tar(fixture("good.zip")).count == 512 * (count + 2))
        #expect(cacheError { _ = try tar(fixture("bad.zip")) }?.message.contains("share one place") == true)
    }

    @Test func anEmptyArchive() throws {
        let fixture = try ImportFixture()
        try fixture.python("zipfile.ZipFile('in.zip', 'w').close()")
        #expect(try tar(fixture("in.zip")) == [UInt8](repeating: 0, count: 1024))
        try fixture.python("open('in.zip', 'ab').write(b'x')")
        _ = cacheError { _ = try tar(fixture("in.zip")) }
    }

    @Test func aDirectoryOfTheArchiveThatIsTooLarge() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            entry = struct.pack('<4sHHHHHHIIIHHHHHII', b'PK\\1\\2', 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, \
            0) + b'a'
            n = 900000
            open('in.zip', 'wb').write(entry * n + struct.pack('<4sHHHHIIH', b'PK\\5\\6', 0, 0, 0xffff, 0xffff, \
            len(entry) * n, 0, 0))
            """)
        #expect(cacheError { _ = try tar(fixture("in.zip")) }?.code == .limitExceeded)
    }
}
