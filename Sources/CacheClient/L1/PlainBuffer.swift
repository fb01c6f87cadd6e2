internal import CacheCore
internal import NIOCore

/// Makes the buffers that plaintext lives in, each filled once: of the chunk's exact length, or one that was used
/// before.
enum PlainBuffer {
    static func make(
        _ ref: ChunkRef, from buffers: BufferPool?, _ fill: (UnsafeMutableRawBufferPointer) throws -> Void
    ) throws -> ByteBuffer {
        let length = Int(ref.plainLength)
        var buffer = buffers?.take() ?? ChunkMemory.allocator.buffer(capacity: length)
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { room in
            try fill(UnsafeMutableRawBufferPointer(rebasing: room[..<length]))
            return length
        }
        return buffer
    }

    /// Checks and opens a sealed chunk on the calling thread.
    static func open(_ ref: ChunkRef, _ sealed: ByteBuffer, from buffers: BufferPool?) throws -> ByteBuffer {
        try sealed.withUnsafeReadableBytes { sealed in
            try make(ref, from: buffers) { try ChunkOpener.current.open(ref, sealed: sealed, into: $0) }
        }
    }
}

/// The plaintext of every zero chunk.
enum ZeroBuffer {
    static let shared = ByteBuffer(repeating: 0, count: ChunkLimits.plainBytes)
}
