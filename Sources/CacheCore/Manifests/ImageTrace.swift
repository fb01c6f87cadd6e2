package import CacheBase
internal import CacheCrypto
package import NIOCore

/// In which order programs first touched the chunks of an image's device: what to fetch ahead when it is started on a
/// host that has none of it.
///
/// Chunks go by number: those of the layers' data regions from the bottom layer up, a slot of 512 KiB each, then those
/// of the device's metadata.
public struct ImageTrace: Sendable, Equatable {
    /// The numbers of the chunks, in order of first touch; none twice.
    public let chunks: [UInt32]
    /// How many runs it was made from; 0 for an empty trace that stands for the wish to record one.
    public let runs: UInt16

    /// The most chunks in a trace: 32 GiB of plaintext. What is touched after so many is not recorded.
    public static let maximumChunks = 1 << 16
    /// The most bytes of a sealed trace: a number takes five at most.
    static let maximumBytes = maximumChunks * 5 + 256
    private static let magic: StaticString = "LCTR"
    private static let version: UInt16 = 1
    private static let plainBytes = 64

    /// Keeps the first ``maximumChunks`` of `chunks`, each once.
    public init(chunks: [UInt32], runs: UInt16 = 1) {
        var seen: Set<UInt32> = []
        var kept: [UInt32] = []
        for chunk in chunks where kept.count < Self.maximumChunks && seen.insert(chunk).inserted { kept.append(chunk) }
        self.chunks = kept
        self.runs = runs
    }

    /// The chunks of both, those of this one first, in order.
    public func merged(with later: ImageTrace) -> ImageTrace {
        ImageTrace(chunks: chunks + later.chunks, runs: UInt16(clamping: Int(runs) + Int(later.runs)))
    }

    /// Throws unless the trace fits a device of `count` chunks.
    /// - Throws: `.corrupt`.
    package func check(against count: Int) throws(CacheError) {
        guard let beyond = chunks.first(where: { Int($0) >= count }) else { return }
        throw CacheError(.corrupt, "the trace names chunk \(beyond) of a device of \(count)")
    }

    // MARK: Sealing

    /// Seals the trace for a tenant, bound to the image that it is of. Each call gives other bytes.
    /// (docs/FORMAT.md, "Trace".)
    package func seal(of image: ManifestID, in generation: Generation, with keys: TenantKeys) -> ByteBuffer {
        var plain = ByteBuffer()
        plain.writeMagic(Self.magic, version: Self.version)
        plain.writeZeros(2)
        plain.writeLittle(generation.number)
        plain.writeKeyID(keys.id)
        plain.writeDigest(image.digest)
        var body = ByteBuffer()
        body.writeLittle(runs)
        body.writeZeros(2)
        body.writeLittle(UInt32(chunks.count))
        var next: Int64 = 0
        for chunk in chunks {
            body.writeNumber(foldingSign: Int64(chunk) - next)
            next = Int64(chunk) + 1
        }
        return ManifestEnvelope.seal(plain, body: body, keys: keys)
    }

    /// Opens a sealed trace.
    ///
    /// - Parameter image: whose trace it must be.
    /// - Throws: `.key` if the tenant's key is another, `.unsupported` for another version, `.corrupt` for all that is
    ///   not right.
    package static func open(
        _ sealed: ByteBuffer, of image: ManifestID, in generation: Generation, keys: TenantKeys
    ) throws -> ImageTrace {
        let what = "the trace of image \(image)"
        return try sealed.withUnsafeReadableBytes { bytes in
            guard bytes.count <= maximumBytes else {
                throw CacheError(.corrupt, "\(what) has \(bytes.count) bytes; at most \(maximumBytes) are allowed")
            }
            var reader = RecordReader(bytes, what: what)
            try reader.magic(magic, version: version)
            try reader.zeros(2)
            guard try reader.integer() == generation.number else { throw reader.malformed("its generation is another") }
            guard try reader.keyID() == keys.id else { throw ManifestEnvelope.wrongKey(what, keys) }
            guard ManifestID(try reader.digest()) == image else { throw reader.malformed("it is of another image") }
            let body = try ManifestEnvelope.open(bytes, plainBytes: plainBytes, what: what, keys: keys)
            return try body.withUnsafeReadableBytes { try decode(RecordReader($0, what: what)) }
        }
    }

    private static func decode(_ body: RecordReader) throws -> ImageTrace {
        var reader = body
        let runs: UInt16 = try reader.integer()
        try reader.zeros(2)
        let count = Int(try reader.integer(UInt32.self))
        guard count <= maximumChunks else { throw reader.malformed("it has \(count) chunks") }
        var chunks: [UInt32] = []
        chunks.reserveCapacity(min(count, reader.remaining))
        var seen: Set<UInt32> = []
        var next: Int64 = 0
        for _ in 0..<count {
            let (sum, overflow) = next.addingReportingOverflow(try reader.signedNumber())
            guard !overflow, let chunk = UInt32(exactly: sum) else {
                throw reader.malformed("a chunk's number is out of range")
            }
            guard seen.insert(chunk).inserted else { throw reader.malformed("chunk \(chunk) is in it twice") }
            chunks.append(chunk)
            next = sum + 1
        }
        try reader.end()
        return ImageTrace(chunks: chunks, runs: runs)
    }
}

// Numbers in a trace: signed ones folded to unsigned (0, -1, 1, -2, ... become 0, 1, 2, 3, ...), then LEB128: seven
// bits a byte, lowest first, five bytes at most.

extension ByteBuffer {
    fileprivate mutating func writeNumber(foldingSign value: Int64) {
        var rest = UInt64(bitPattern: value << 1 ^ value >> 63)
        while rest >= 0x80 {
            writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        writeInteger(UInt8(truncatingIfNeeded: rest))
    }
}

extension RecordReader {
    fileprivate mutating func signedNumber() throws -> Int64 {
        var folded: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 35, by: 7) {
            let byte: UInt8 = try integer()
            folded |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return Int64(bitPattern: folded >> 1) ^ -Int64(bitPattern: folded & 1) }
        }
        throw malformed("a number of more than five bytes")
    }
}
