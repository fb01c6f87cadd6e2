import CZstd
import CacheCore
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

    @Test func piecesAreOpenedAsOne() throws {
        let (ref, sealed) = seal(Self.incompressible)
        var plain = [UInt8](repeating: 0, count: Int(ref.plainLength))
        try sealed.withUnsafeBytes { sealed in
            let pieces = stride(from: 0, to: sealed.count, by: 65_520).map {
                UnsafeRawBufferPointer(rebasing: sealed[$0..<min($0 + 65_520, sealed.count)])
            }
            try plain.withUnsafeMutableBytes { try ChunkOpener.current.open(ref, pieces: pieces, into: $0) }
        }
        #expect(plain == Self.incompressible)
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
