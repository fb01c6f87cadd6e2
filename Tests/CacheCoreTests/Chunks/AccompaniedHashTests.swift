import CacheCore
import CacheCrypto
import TestSupport
import Testing

/// Two hashes on one core, and chunks that are checked beside a stream.
@Suite struct AccompaniedHashTests {
    private func random(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// Against libcrypto: pieces and companions of any length, around the borders of blocks most of all.
    @Test(arguments: [true, false]) func bothAreWhatLibcryptoSays(_ isInOnePass: Bool) throws {
        var generator = SeededGenerator()
        print("seed \(generator.seed)")
        let theirs = SealedBytes(isInOnePass: false)
        let key = try #require(random(32, &generator).withUnsafeBytes { SHA256Digest(bytes: $0) }.map { Key256($0) })
        for _ in 0..<150 {
            let hash = AccompaniedSHA256(isInOnePass: isInOnePass)
            var all: [UInt8] = []
            for _ in 0..<Int.random(in: 0...5, using: &generator) {
                let longest = Bool.random(using: &generator) ? 200 : 9_000
                let piece = random(Int.random(in: 0...longest, using: &generator), &generator)
                all += piece
                guard Bool.random(using: &generator) else {
                    piece.withUnsafeBytes { hash.update($0) }
                    continue
                }
                let sealed = random(Int.random(in: 1...longest, using: &generator), &generator)
                func decrypted(_ decrypt: (SealedBytes.Job) -> SHA256Digest) -> (text: [UInt8], name: SHA256Digest) {
                    var text = [UInt8](repeating: 0, count: sealed.count)
                    let name = text.withUnsafeMutableBytes { text in
                        sealed.withUnsafeBytes { decrypt(SealedBytes.Job($0, to: text, key: key)) }
                    }
                    return (text, name)
                }
                let beside = decrypted { job in piece.withUnsafeBytes { hash.update($0, decrypting: job) } }
                #expect(beside == decrypted(theirs.decrypt))
            }
            #expect(hash.finish() == SHA256Digest(of: all))
        }
    }

    /// A chunk opens to the same bytes whoever decrypts it; one that is damaged is found, and the stream's digest does
    /// not depend on it.
    @Test func chunksAreDecryptedBesideAStream() throws {
        var generator = SeededGenerator()
        print("seed \(generator.seed)")
        let hash = AccompaniedSHA256()
        var stream: [UInt8] = []
        for symbols: ClosedRange<UInt8> in [0...255, 65...68] {
            for length in [1, 63, 64, 4_000, 100_000] {
                let plain = (0..<length).map { _ in UInt8.random(in: symbols, using: &generator) }
                var sealed = [UInt8](repeating: 0, count: length)
                let ref = plain.withUnsafeBytes { plain in
                    sealed.withUnsafeMutableBytes {
                        ChunkSealer(salt: GenerationSalt(.zero), compression: .standard).seal(plain, into: $0)
                    }
                }
                sealed.removeLast(length - Int(ref.sealedLength))
                let piece = random(Int.random(in: 0...20_000, using: &generator), &generator)
                func decrypt(_ sealed: [UInt8]) throws -> [UInt8] {
                    stream += piece
                    var text = [UInt8](repeating: 0, count: sealed.count)
                    try piece.withUnsafeBytes { piece in
                        try sealed.withUnsafeBytes { sealed in
                            try text.withUnsafeMutableBytes {
                                try ChunkOpener.decrypt(ref, sealed: sealed, to: $0, beside: hash, of: piece)
                            }
                        }
                    }
                    return text
                }
                let text = try decrypt(sealed)
                var opened = [UInt8](repeating: 0x55, count: length)
                try text.withUnsafeBytes { text in
                    try opened.withUnsafeMutableBytes { try ChunkOpener().expand(ref, text: text, into: $0) }
                }
                #expect(opened == plain)
                var wrong = sealed
                wrong[Int.random(in: 0..<wrong.count, using: &generator)] ^= 16
                for bad in [wrong, sealed + [0], Array(sealed.dropLast())] {
                    #expect { try decrypt(bad) } throws: { ($0 as? CacheError)?.code == .corrupt }
                }
            }
        }
        #expect(hash.finish() == SHA256Digest(of: stream))
    }
}
