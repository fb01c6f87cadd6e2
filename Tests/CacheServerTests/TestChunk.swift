import CacheCore
import NIOCore
import TestSupport

/// Bytes that look like a sealed chunk, the same for the same seed.
struct TestChunk {
    let id: ChunkID
    let bytes: ByteBuffer

    init(seed: UInt64, length: Int = 100_000) {
        var generator = SeededGenerator(seed: seed)
        self.init(generator.buffer(length))
    }

    init(_ bytes: ByteBuffer) {
        self.bytes = bytes
        id = bytes.withUnsafeReadableBytes { ChunkID(ofSealed: $0) }
    }
}
