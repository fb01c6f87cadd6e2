import CacheCore
import Foundation
import Testing

@Suite struct DecompressionTests {
    private func decompress(_ path: String, limits: ImportLimits = ImportLimits()) throws -> [UInt8] {
        try ImageSource.open(.tar(file: path), limits: limits).layers[0].open().readAll()
    }

    @Test(arguments: ["gzip -1", "gzip -9", "zstd -3", "zstd -19", "cat"])
    func whatToolsCompress(_ tool: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell(
            "{ seq 1 200000; head -c 300000 /dev/urandom; head -c 3000000 /dev/zero; } > plain; "
                + "\(tool) < plain > packed"
        )
        #expect(try decompress(fixture("packed")) == fileBytes(fixture("plain")))
    }

    @Test(arguments: ["gzip", "zstd"])
    func concatenatedMembers(_ tool: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell(
            """
            for i in 1 2 3 4 5; do seq $i 5000 > part$i; cat part$i >> plain; \(tool) -c part$i >> packed; done
            : > empty; \(tool) -c empty >> packed
            \(tool == "gzip" ? "head -c 10240 /dev/zero >> packed" : ":")
            """)
        #expect(try decompress(fixture("packed")) == fileBytes(fixture("plain")))
    }

    @Test func gzipMembersAtEveryPlaceOfTheInputBuffer() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            "open('packed','wb').write(b''.join(gzip.compress(bytes([i]) * i, mtime=0) for i in range(200)))")
        let packed = try fileBytes(fixture("packed"))
        let expected = (0..<200).flatMap { [UInt8](repeating: UInt8($0), count: $0) }
        for piece in [1, 2, 3, 7, 19] {
            let source = GzipByteSource(PiecewiseSource(packed, piece: piece), name: "pieces of \(piece)")
            #expect(try source.readAll() == expected)
        }
    }

    @Test func gzipHeaderWithEveryField() throws {
        let fixture = try ImportFixture()
        try fixture.python(
            """
            body = gzip.compress(b'hello' * 1000, mtime=0)[10:]
            head = b'\\x1f\\x8b\\x08' + bytes([2|4|8|16]) + bytes(6) + struct.pack('<H', 300) + bytes(300) + b'a \
            name\\0' + b'a comment\\0'
            head += struct.pack('<H', zlib.crc32(head) & 0xffff)
            open('packed','wb').write(head + body)
            """)
        #expect(try decompress(fixture("packed")) == Array(String(repeating: "hello", count: 1000).utf8))
    }

    @Test(arguments: ["gzip", "zstd"])
    func truncationIsAnErrorEverywhere(_ tool: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell("{ seq 1 3000; head -c 300 /dev/urandom; } | \(tool) -c > packed")
        let packed = try fileBytes(fixture("packed"))
        for length in stride(from: 5, to: packed.count, by: 37) + [
            packed.count - 1, packed.count - 7, packed.count - 8,
        ] {
            let source: any ByteSource =
                tool == "gzip"
                ? GzipByteSource(PiecewiseSource(Array(packed[..<length])), name: "cut")
                : try ZstdByteSource(PiecewiseSource(Array(packed[..<length])), name: "cut", window: 128 << 20)
            let error = cacheError { _ = try source.readAll() }
            #expect(error?.code == .corrupt, "\(length) of \(packed.count) bytes")
        }
    }

    @Test(arguments: ["gzip", "zstd --check"])
    func flippedBitsAreAnError(_ tool: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell("{ seq 1 3000; head -c 300 /dev/urandom; } | tee plain | \(tool) -c > packed")
        let packed = try fileBytes(fixture("packed"))
        let plain = try fileBytes(fixture("plain"))
        // Behind the header, whose times and names no checksum covers.
        for place in stride(from: 12, to: packed.count, by: 29) {
            var damaged = packed
            damaged[place] ^= 0x10
            let source: any ByteSource =
                tool == "gzip"
                ? GzipByteSource(PiecewiseSource(damaged), name: "damaged")
                : try ZstdByteSource(PiecewiseSource(damaged), name: "damaged", window: 128 << 20)
            // A match that another one of the same bytes replaces changes nothing.
            var read: [UInt8]?
            let error = cacheError { read = try source.readAll() }
            #expect(error != nil || read == plain, "at \(place)")
        }
    }

    @Test func garbageBehindGzipIsAnError() throws {
        let fixture = try ImportFixture()
        try fixture.shell("{ seq 1 3000 | gzip -c; echo garbage; } > packed")
        #expect(cacheError { _ = try decompress(fixture("packed")) }?.message.contains("garbage") == true)
    }

    @Test(arguments: ["gzip -9", "zstd", "gzip -1"])
    func bombsStopAtTheLimit(_ tool: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell("head -c 40000000 /dev/zero | tr '\\0' x | \(tool) -c > bomb")
        var limits = ImportLimits()
        limits.expansionFloor = 10 << 20
        limits.expansionFactor = 10
        let source = try ImageSource.open(.tar(file: fixture("bomb")), limits: limits).layers[0].open()
        var total = 0
        let error = cacheError { try source.drain { total += $0.count } }
        #expect(error?.code == .limitExceeded)
        #expect(error?.message.hasSuffix("raise it with --limit expansion=N") == true)
        #expect(total <= limits.expansionFloor)
        // Honest input is beyond one of the two at most.
        limits.expansionFloor = 40_000_000
        #expect(
            try ImageSource.open(.tar(file: fixture("bomb")), limits: limits).layers[0].open().drain { _ in }
                == 40_000_000)
        limits.expansionFloor = 10 << 20
        limits.expansionFactor = 40_000
        #expect(
            try ImageSource.open(.tar(file: fixture("bomb")), limits: limits).layers[0].open().drain { _ in }
                == 40_000_000)
    }

    /// Zeros cost no room anywhere, and no limit but that of the layer counts them.
    @Test(arguments: ["gzip -9", "gzip -1", "zstd"])
    func zerosExpandAsTheyLike(_ tool: String) throws {
        let fixture = try ImportFixture()
        try fixture.shell(
            "{ seq 1 100000; head -c 60000000 /dev/zero; seq 1 100000; } > plain; \(tool) -c plain > packed")
        var limits = ImportLimits()
        limits.expansionFloor = 2 << 20
        limits.expansionFactor = 1
        limits.layerBytes = 100_000_000
        let source = try ImageSource.open(.tar(file: fixture("packed")), limits: limits).layers[0]
        #expect(try SHA256Digest(of: source.open().readAll()) == SHA256Digest(of: fileBytes(fixture("plain"))))
        limits.layerBytes = 50_000_000
        let beyond = try ImageSource.open(.tar(file: fixture("packed")), limits: limits).layers[0].open()
        #expect(cacheError { try beyond.drain { _ in } }?.message.contains("--limit layer-bytes=SIZE") == true)
    }

    @Test func zstdWindowsAreBounded() throws {
        let fixture = try ImportFixture()
        // The window counts, not the size: it is what a decoder must hold.
        try fixture.python(
            """
            # A frame header alone: magic, descriptor without content size, window of 2^31.
            open('wide', 'wb').write(bytes.fromhex('28b52ffd') + b'\\x00' + bytes([21 << 3]) + bytes(100))
            """)
        let error = cacheError { _ = try decompress(fixture("wide")) }
        var limits = ImportLimits()
        limits.zstdWindow = 1 << 31
        #expect(cacheError { _ = try decompress(fixture("wide"), limits: limits) }?.code == .corrupt)
        #expect(error?.code == .limitExceeded)
        #expect(error?.message.contains("--limit zstd-window=SIZE") == true)
    }

    @Test func limitOfALayer() throws {
        let fixture = try ImportFixture()
        try fixture.shell("head -c 5000 /dev/zero > plain")
        var limits = ImportLimits()
        limits.layerBytes = 4999
        #expect(cacheError { _ = try decompress(fixture("plain"), limits: limits) }?.code == .limitExceeded)
    }

    @Test func aPipeIsReadFromFrontToBack() throws {
        let fixture = try ImportFixture()
        try fixture.shell("seq 1 1000 > plain; mkfifo pipe; (gzip -c plain > pipe) >/dev/null 2>&1 &")
        #expect(try decompress(fixture("pipe")) == fileBytes(fixture("plain")))
    }
}
