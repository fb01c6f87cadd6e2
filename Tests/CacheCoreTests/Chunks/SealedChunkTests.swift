import CZstd
import CacheCore
import CacheCrypto
import NIOCore
import TestSupport
import Testing

/// Known answers from Tests/Vectors/sealed_chunk.py, which shares no code with this project.
@Suite struct SealedChunkTests {
    private static let salt: GenerationSalt = {
        let bytes = (0..<32).map { UInt8($0) }
        return bytes.withUnsafeBytes { GenerationSalt(SHA256Digest(bytes: $0) ?? .zero) }
    }()

    private func seal(_ plain: [UInt8], _ compression: ChunkCompression = .standard) -> (ChunkRef, [UInt8]) {
        var out = [UInt8](repeating: 0xAA, count: plain.count)
        let ref = plain.withUnsafeBytes { plain in
            out.withUnsafeMutableBytes { ChunkSealer(salt: Self.salt, compression: compression).seal(plain, into: $0) }
        }
        return (ref, Array(out.prefix(Int(ref.sealedLength))))
    }

    private func open(_ ref: ChunkRef, _ sealed: [UInt8]) throws -> [UInt8] {
        var plain = [UInt8](repeating: 0x55, count: Int(ref.plainLength))
        try sealed.withUnsafeBytes { sealed in
            try plain.withUnsafeMutableBytes { try ChunkOpener().open(ref, sealed: sealed, into: $0) }
        }
        return plain
    }

    /// 512 KiB that no codec shortens: SHA-256 of 0, 1, 2, ...
    private static let incompressible: [UInt8] = (0..<UInt32(512 * 1024 / 32)).flatMap { number in
        withUnsafeBytes(of: number.littleEndian) { SHA256Digest(hashing: $0) }.withUnsafeBytes { Array($0) }
    }

    @Test func rawChunkHasTheKnownAnswer() throws {
        let plain = (1...31).map { UInt8($0) }
        let (ref, sealed) = seal(plain)
        #expect(ref.codec == .raw)
        #expect(ref.plainLength == 31)
        #expect(ref.sealedLength == 31)
        #expect(ref.id.hex == "3f355816f697146f3263891d56696db43db5e5f048db0d0c3feaa6847b5582dc")
        #expect(ref.key.secret.hex == "d01d8146e08c5f084046e355d85d8651d7b61489042415e8e7ce289ce8a8ff33")
        #expect(
            sealed.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
                == "1088d21b88f0b3bbcba45f5d99d664361cf74c621927f0d30b0e9434a7cfbf")
        #expect(try open(ref, sealed) == plain)
    }

    @Test func incompressibleChunkIsSealedRaw() throws {
        let (ref, sealed) = seal(Self.incompressible)
        #expect(ref.codec == .raw)
        #expect(ref.sealedLength == 512 * 1024)
        #expect(ref.id.hex == "76c4a649e79d956b7c24cba1bdab1aa9ecec9c84873177b4934a7de06ebdbc6b")
        #expect(ref.key.secret.hex == "65c401d6b00ef0b72b4440939e7d5ff550697e49c96dd4060a866aeda2bcbe53")
        #expect(try open(ref, sealed) == Self.incompressible)
    }

    @Test func compressedChunkHasTheKnownAnswer() throws {
        let plain = Array(String(repeating: "the same line again and again\n", count: 1000).utf8)
        let (ref, sealed) = seal(plain)
        #expect(ref.codec == .zstd)
        #expect(ref.plainLength == 30_000)
        #expect(try open(ref, sealed) == plain)
        // The answer holds for the zstd that Debian 12 has; another version may choose other bytes, never other
        // plaintext.
        if zstdVersion == 10504 {
            #expect(ref.id.hex == "0fca07dff2193b58b834413cb47cc18edda4ee5d503868da1e0d2ec978c44e4a")
            #expect(ref.key.secret.hex == "1653892680a54a200b49a8700f436f5a486299f97c61d73bdee49bfbe1fab0c2")
        }
    }

    @Test func zeroChunksAreNotStored() throws {
        for count in [1, 7, 4096, ChunkLimits.plainBytes] {
            let (ref, sealed) = seal([UInt8](repeating: 0, count: count))
            #expect(ref == .zero(plainLength: UInt32(count)))
            #expect(ref.isZero)
            #expect(sealed.isEmpty)
            #expect(try open(ref, []) == [UInt8](repeating: 0, count: count))
        }
        var almost = [UInt8](repeating: 0, count: 4096)
        almost[4095] = 1
        #expect(!seal(almost).0.isZero)
    }

    @Test func equalChunksBecomeEqualObjectsAndTheSaltSeparates() {
        let plain = Array("some file of some tenant, long enough to be compressed, compressed, compressed".utf8)
        #expect(seal(plain).0 == seal(plain).0)
        var other = [UInt8](repeating: 0, count: plain.count)
        let ref = plain.withUnsafeBytes { plain in
            other.withUnsafeMutableBytes {
                ChunkSealer(salt: GenerationSalt(.zero), compression: .standard).seal(plain, into: $0)
            }
        }
        #expect(ref.id != seal(plain).0.id)
    }

    @Test func compressionCanBeSwitchedOff() throws {
        let plain = [UInt8](repeating: 65, count: 10_000)
        let (ref, sealed) = seal(plain, .none)
        #expect(ref.codec == .raw)
        #expect(sealed.count == plain.count)
        #expect(try open(ref, sealed) == plain)
    }

    /// Every way to compress opens to the same bytes, and is another object with a policy of its own. The default is
    /// about as small as level 1, on text that is unkind to it: it has no Huffman codes.
    @Test func waysToCompress() throws {
        var generator = SeededGenerator(seed: 5)
        let words = (0..<600).map { _ in "\(UInt16.random(in: 0..<2000, using: &generator)) if " }
        let text = (0..<60_000).map { _ in words[Int.random(in: 0..<words.count, using: &generator)] }.joined()
        let plain = Array(text.utf8.prefix(ChunkLimits.plainBytes))
        let ways: [ChunkCompression] = [.fastOpen, .zstd(level: 1), .zstd(level: 19), .none]
        #expect(Set(ways.map(\.policy)).count == ways.count)
        var sizes: [Int] = []
        for way in ways {
            let (ref, sealed) = seal(plain, way)
            #expect(try open(ref, sealed) == plain)
            #expect(seal(plain, way).0 == ref)
            sizes.append(sealed.count)
        }
        #expect(Set(sizes).count == ways.count)
        #expect(sizes[0] < sizes[1] * 11 / 10 && sizes[0] < sizes[3], "\(sizes)")
        #expect(ChunkCompression.standard == .fastOpen)
    }

    @Test func everyDamageIsCorruption() {
        var generator = SeededGenerator(seed: 11)
        let plain = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let (ref, sealed) = seal(plain)
        for _ in 0..<300 {
            var damaged = sealed
            switch Int.random(in: 0..<3, using: &generator) {
            case 0:
                damaged[Int.random(in: 0..<damaged.count, using: &generator)] ^=
                    1 << Int.random(in: 0..<8, using: &generator)
            case 1: damaged.removeLast(Int.random(in: 1...damaged.count, using: &generator))
            default: damaged.append(0)
            }
            let error = #expect(throws: CacheError.self) { try open(ref, damaged) }
            #expect(error?.code == .corrupt)
            #expect(error?.message.contains(ref.id.hex) == true)
        }
    }

    /// What a chunk is opened to, where its sealed bytes were read into an intake: both at once, and each by itself.
    private func openBoth(
        _ first: (ref: ChunkRef, sealed: [UInt8]), _ second: (ref: ChunkRef, sealed: [UInt8])
    ) -> [Result<[UInt8], any Error>] {
        let opener = ChunkOpener()
        opener.intake.copyBytes(from: first.sealed)
        opener.secondIntake.copyBytes(from: second.sealed)
        let both = opener.decrypt((first.ref, first.sealed.count), (second.ref, second.sealed.count))
        return [(first.ref, both.first), (second.ref, both.second)].map { ref, text in
            Result {
                let text = try text.get()
                var plain = [UInt8](repeating: 0x55, count: Int(ref.plainLength))
                try plain.withUnsafeMutableBytes { try opener.expand(text, into: $0) }
                return plain
            }
        }
    }

    @Test func twoAtOnceAreWhatEachIs() throws {
        var generator = SeededGenerator()
        print("seed \(generator.seed)")
        for _ in 0..<60 {
            let texts = (0..<2).map { _ -> [UInt8] in
                let length = Int.random(in: 1...(Bool.random(using: &generator) ? 300 : 40_000), using: &generator)
                let symbols: ClosedRange<UInt8> = Bool.random(using: &generator) ? 0...255 : 65...68
                return (0..<length).map { _ in UInt8.random(in: symbols, using: &generator) }
            }
            let chunks = texts.map { seal($0) }
            let opened = openBoth(chunks[0], chunks[1])
            #expect(try opened[0].get() == texts[0])
            #expect(try opened[1].get() == texts[1])
            // One that is damaged, or too short, does nothing to the other.
            var damaged = chunks
            let bad = Int.random(in: 0...1, using: &generator)
            if Bool.random(using: &generator) {
                damaged[bad].1[Int.random(in: 0..<damaged[bad].1.count, using: &generator)] ^= 4
            } else {
                damaged[bad].1.removeLast()
            }
            let found = openBoth(damaged[0], damaged[1])
            #expect(try found[1 - bad].get() == texts[1 - bad])
            #expect { try found[bad].get() } throws: { ($0 as? CacheError)?.code == .corrupt }
        }
    }

    /// The one pass of ours, against libcrypto, also in place, of lengths around the borders of blocks.
    @Test func onePassDecryptsAndNamesAsLibcryptoDoes() throws {
        var generator = SeededGenerator()
        print("seed \(generator.seed)")
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) } }
        let ours = SealedBytes()
        let theirs = SealedBytes(isInOnePass: false)
        let lengths = Array(1...260) + (0..<20).map { _ in Int.random(in: 261...20_000, using: &generator) }
        for length in lengths {
            let texts = [bytes(length), bytes(Int.random(in: 1...600, using: &generator))]
            let keys = try (0..<2).map { _ in
                try #require(bytes(32).withUnsafeBytes { SHA256Digest(bytes: $0) }.map { Key256($0) })
            }
            var expected: [(text: [UInt8], name: SHA256Digest)] = []
            for (text, key) in zip(texts, keys) {
                var out = [UInt8](repeating: 0, count: text.count)
                let name = text.withUnsafeBytes { text in
                    out.withUnsafeMutableBytes { theirs.decrypt(.init(text, to: $0, key: key)) }
                }
                #expect(name == text.withUnsafeBytes { SHA256Digest(hashing: $0) })
                expected.append((out, name))
            }
            var (first, second) = (texts[0], texts[1])
            let names = first.withUnsafeMutableBytes { first in
                second.withUnsafeMutableBytes { second in
                    ours.decrypt(
                        .init(UnsafeRawBufferPointer(first), to: first, key: keys[0]),
                        .init(UnsafeRawBufferPointer(second), to: second, key: keys[1]))
                }
            }
            #expect(names.first == expected[0].name && names.second == expected[1].name)
            #expect(first == expected[0].text && second == expected[1].text)
            var alone = [UInt8](repeating: 0, count: length)
            let name = texts[0].withUnsafeBytes { text in
                alone.withUnsafeMutableBytes { ours.decrypt(.init(text, to: $0, key: keys[0])) }
            }
            #expect(name == expected[0].name && alone == expected[0].text)
        }
    }

    @Test func liesOfAManifestAreCorruption() {
        let (ref, sealed) = seal([UInt8](repeating: 65, count: 10_000))
        let lies = [
            ChunkRef(id: ref.id, key: ref.key, plainLength: 9_999, sealedLength: ref.sealedLength, codec: .zstd),
            ChunkRef(id: ref.id, key: ref.key, plainLength: 10_001, sealedLength: ref.sealedLength, codec: .zstd),
            ChunkRef(id: ref.id, key: ref.key, plainLength: 10_000, sealedLength: ref.sealedLength, codec: .raw),
            ChunkRef(id: ref.id, key: ref.key, plainLength: 10_000, sealedLength: ref.sealedLength + 1, codec: .zstd),
            ChunkRef(id: ref.id, key: ref.key, plainLength: 10_000, sealedLength: UInt32.max, codec: .zstd),
            ChunkRef(
                id: ref.id, key: ChunkKey(Key256(.zero)), plainLength: 10_000, sealedLength: ref.sealedLength,
                codec: .zstd),
        ]
        for lie in lies {
            #expect(throws: CacheError.self) { try open(lie, sealed) }
        }
    }
}

/// The version of the zstd library under test, as 10000 * major + 100 * minor + patch.
private var zstdVersion: UInt32 { ZSTD_versionNumber() }
