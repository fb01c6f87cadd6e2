internal import CacheCore
internal import NIOCore
internal import Synchronization

/// Makes the metadata of an image's device and seals it for this host alone, a chunk at a time. Blocks; for several
/// threads.
final class MetadataSealer: Sendable {
    private let chunks: MetadataChunks
    private let sealer: Mutex<ChunkSealer>
    private let buffers: BufferPool

    init(_ writer: sending ErofsWriter, keys: TenantKeys, buffers: BufferPool) {
        chunks = MetadataChunks(writer, buffers: buffers)
        sealer = Mutex(ChunkSealer(salt: keys.localSalt, compression: .standard))
        self.buffers = buffers
    }

    /// The next chunk in order, sealed (empty for a zero chunk); `nil` at the end.
    func next() -> (ref: ChunkRef, sealed: ByteBuffer)? {
        guard let (_, plain) = chunks.next() else { return nil }
        defer { buffers.give(plain) }
        return sealer.withLock { sealer in
            plain.withUnsafeReadableBytes { plain in
                withUnsafeTemporaryAllocation(byteCount: plain.count, alignment: 64) { room in
                    let ref = sealer.seal(plain, into: room)
                    let sealed = UnsafeRawBufferPointer(rebasing: room[..<Int(ref.sealedLength)])
                    return (ref, ByteBuffer(bytes: sealed))
                }
            }
        }
    }
}
