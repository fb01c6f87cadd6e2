import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheManifests

/// Traces come from L3: whatever is not one gives an error of one line.
@Suite struct ImageTraceTests {
    private let keys: TenantKeys
    private let image = ImageTraceTests.name("an image")
    private let generation: Generation

    init() throws {
        keys = TenantKeys(tenant: try TenantName(parsing: "acme"), master: SecureRandom.key())
        generation = try #require(Generation(1))
    }

    private func open(_ sealed: ByteBuffer) throws -> ImageTrace {
        try ImageTrace.open(sealed, of: image, in: generation, keys: keys)
    }

    @Test func anyOrderComesBack() throws {
        var random = SeededGenerator(seed: 11)
        for chunks in [
            [], [0], [.max], [5, 4, 3, .max, 0], Array(0..<1000),
            (0..<1000).map { _ in UInt32.random(in: 0 ... .max, using: &random) },
        ] as [[UInt32]] {
            let trace = ImageTrace(chunks: chunks, runs: 7)
            #expect(try open(trace.seal(of: image, in: generation, with: keys)) == trace)
        }
        // In order, a chunk takes a byte.
        let long = ImageTrace(chunks: Array(0..<UInt32(ImageTrace.maximumChunks)))
        let sealed = long.seal(of: image, in: generation, with: keys)
        #expect(sealed.readableBytes < ImageTrace.maximumChunks + 200)
        #expect(try open(sealed) == long)
    }

    @Test func eachOnceAndNotTooMany() {
        #expect(ImageTrace(chunks: [3, 3, 1, 3, 1]).chunks == [3, 1])
        #expect(ImageTrace(chunks: Array(0..<100_000)).chunks.count == ImageTrace.maximumChunks)
        let merged = ImageTrace(chunks: [3, 1], runs: 2).merged(with: ImageTrace(chunks: [1, 2, 3, 0]))
        #expect(merged == ImageTrace(chunks: [3, 1, 2, 0], runs: 3))
    }

    @Test func aTraceOfAnotherIsRefused() throws {
        let trace = ImageTrace(chunks: [1, 2])
        let sealed = trace.seal(of: image, in: generation, with: keys)
        let other = Self.name("another")
        let stranger = TenantKeys(tenant: try TenantName(parsing: "acme"), master: SecureRandom.key())
        let second = try #require(Generation(2))
        #expect(code { try ImageTrace.open(sealed, of: other, in: generation, keys: keys) } == .corrupt)
        #expect(code { try ImageTrace.open(sealed, of: image, in: second, keys: keys) } == .corrupt)
        #expect(code { try ImageTrace.open(sealed, of: image, in: generation, keys: stranger) } == .key)
        #expect(throws: CacheError.self) { try trace.check(against: 2) }
        #expect(throws: Never.self) { try trace.check(against: 3) }
    }

    @Test func everyBitOfTheSealedFormIsChecked() throws {
        let sealed = ImageTrace(chunks: [9, 8, 1000]).seal(of: image, in: generation, with: keys)
        for bit in 0..<sealed.readableBytes * 8 {
            var damaged = sealed
            let byte = damaged.getInteger(at: bit / 8, as: UInt8.self) ?? 0
            damaged.setInteger(byte ^ 1 << (bit % 8), at: bit / 8)
            #expect([.corrupt, .key, .unsupported].contains(code { try open(damaged) }), "bit \(bit)")
        }
        for length in 0..<sealed.readableBytes {
            #expect(
                code { try open(ByteBuffer(sealed.readableBytesView.prefix(length))) } == .corrupt, "\(length) bytes")
        }
        var long = sealed
        long.writeInteger(UInt8(0))
        #expect(code { try open(long) } == .corrupt)
    }

    /// Bodies that only who has the key can seal.
    @Test func everyFieldOfTheBodyIsChecked() throws {
        var plain = ImageTrace(chunks: []).seal(of: image, in: generation, with: keys)
        plain.moveWriterIndex(to: 64)
        func open(runs: UInt16 = 1, zeros: UInt16 = 0, count: UInt32, _ numbers: [UInt8]) throws -> ImageTrace {
            var body = ByteBuffer()
            body.writeInteger(runs, endianness: .little)
            body.writeInteger(zeros, endianness: .little)
            body.writeInteger(count, endianness: .little)
            body.writeBytes(numbers)
            return try self.open(ManifestEnvelope.seal(plain, body: body, keys: keys))
        }
        #expect(try open(count: 2, [2, 0]).chunks == [1, 2])
        let bad: [(String, () throws -> ImageTrace)] = [
            ("reserved", { try open(zeros: 1, count: 0, []) }),
            ("too few", { try open(count: 3, [2, 0]) }),
            ("too many", { try open(count: 1, [2, 0]) }),
            ("count beyond the limit", { try open(count: UInt32(ImageTrace.maximumChunks) + 1, [2, 0]) }),
            ("the largest count", { try open(count: .max, []) }),
            ("twice", { try open(count: 2, [2, 1]) }),
            ("below zero", { try open(count: 1, [1]) }),
            ("above 32 bits", { try open(count: 1, [0x80, 0x80, 0x80, 0x80, 0x20]) }),
            ("a number without end", { try open(count: 1, [0x80, 0x80, 0x80, 0x80, 0x80, 0x01]) }),
            ("cut in a number", { try open(count: 1, [0x80]) }),
        ]
        for (what, make) in bad { #expect(code { try make() } == .corrupt, "\(what)") }
        var random = SeededGenerator(seed: 3)
        for _ in 0..<2000 {
            let bytes = random.bytes(Int.random(in: 0...20, using: &random))
            let found = code { try open(count: UInt32.random(in: 0...8, using: &random), bytes) }
            #expect(found == nil || found == .corrupt)
        }
    }

    private static func name(_ text: String) -> ManifestID {
        ManifestID(ByteBuffer(string: text).withUnsafeReadableBytes { SHA256Digest(hashing: $0) })
    }

    /// The code of a ``CacheError`` of one line; `nil` if nothing is thrown.
    private func code(_ body: () throws -> ImageTrace) -> CacheError.Code? {
        do { _ = try body() } catch {
            guard let error = error as? CacheError, !error.description.contains("\n") else { return .closed }
            return error.code
        }
        return nil
    }
}
