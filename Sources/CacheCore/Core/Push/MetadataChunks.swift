internal import CacheBase
internal import CacheErofs
internal import CacheLayers
internal import NIOCore
internal import Synchronization

/// The metadata region of an image's device as chunks of 512 KiB, made as they are asked for.
final class MetadataChunks: PlainChunkSource {
    private let state: Mutex<(writer: ErofsWriter, next: Int)>
    private let buffers: BufferPool

    /// - Parameter buffers: of at least a chunk's size.
    init(_ writer: sending ErofsWriter, buffers: BufferPool) {
        state = Mutex((writer, 0))
        self.buffers = buffers
    }

    func next() -> PlainChunk? {
        var bytes = buffers.take()
        let slot = state.withLock { state in
            defer { state.next += 1 }
            state.writer.writeChunk(into: &bytes)
            return state.next
        }
        guard bytes.readableBytes > 0 else {
            buffers.give(bytes)
            return nil
        }
        return PlainChunk(stream: .data, slot: slot, bytes: bytes)
    }
}
