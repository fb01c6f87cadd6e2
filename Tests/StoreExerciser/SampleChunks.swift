import CacheCore
import NIOCore
import TestSupport

/// Chunks that can be made again from a number. Their sizes are those of sealed chunks of real images: many around 200
/// KiB, some raw.
struct SampleChunks {
    private let noise: ByteBuffer

    init() {
        var generator = SeededGenerator(seed: 1)
        noise = generator.buffer(2 * ChunkLimits.sealedBytes)
    }

    static func length(_ number: UInt64) -> Int {
        var generator = SeededGenerator(seed: number)
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: return ChunkLimits.sealedBytes
        case 1, 2: return Int.random(in: 1...32_768, using: &generator)
        case 3: return Int.random(in: 262_144...524_288, using: &generator)
        default: return Int.random(in: 131_072...262_144, using: &generator)
        }
    }

    func bytes(_ number: UInt64, length: Int? = nil) -> ByteBuffer {
        let length = length ?? Self.length(number)
        var bytes = ByteBuffer()
        bytes.reserveCapacity(length)
        bytes.writeInteger(number)
        bytes.moveWriterIndex(to: min(8, length))
        let offset = Int(number % UInt64(ChunkLimits.sealedBytes))
        if length > 8, let piece = noise.getSlice(at: offset, length: length - 8) { bytes.writeImmutableBuffer(piece) }
        return bytes
    }

    static func id(_ bytes: ByteBuffer) -> ChunkID { bytes.withUnsafeReadableBytes { ChunkID(ofSealed: $0) } }
}
