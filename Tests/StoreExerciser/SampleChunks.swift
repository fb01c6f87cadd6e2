import CacheCore
import NIOCore

/// SplitMix64: the same numbers for the same seed, everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

/// Chunks that can be made again from a number. Their sizes are those of sealed chunks of real images: many around 200 KiB, some raw.
struct SampleChunks {
    private let noise: ByteBuffer

    init() {
        var generator = SeededGenerator(seed: 1)
        // By a pointer: a buffer's own ways to write a number cost a debug build a microsecond each.
        let words = [UInt64](unsafeUninitializedCapacity: 2 * ChunkLimits.sealedBytes / 8) { words, count in
            count = words.count
            var index = 0
            while index < count {
                words[index] = generator.next()
                index += 1
            }
        }
        noise = words.withUnsafeBytes { ByteBuffer(bytes: $0) }
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
