package import CacheBase
internal import CacheChunks
package import NIOCore
internal import Synchronization

/// The metadata region of an image's device as chunks of 512 KiB, made as they are asked for. For several threads.
package final class MetadataChunks: Sendable {
    private let state: Mutex<(writer: ErofsWriter, next: Int)>
    private let buffers: BufferPool

    /// - Parameter buffers: of at least a chunk's size.
    package init(_ writer: sending ErofsWriter, buffers: BufferPool) {
        state = Mutex((writer, 0))
        self.buffers = buffers
    }

    /// The next chunk: 512 KiB, or what is left; `nil` at the end.
    package func next() -> (number: Int, bytes: ByteBuffer)? {
        var bytes = buffers.take()
        let number = state.withLock { state in
            defer { state.next += 1 }
            bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: ChunkLimits.plainBytes) { room in
                var filled = 0
                while filled < ChunkLimits.plainBytes {
                    let rest = UnsafeMutableRawBufferPointer(rebasing: room[filled..<ChunkLimits.plainBytes])
                    let count = state.writer.write(into: rest)
                    if count == 0 { break }
                    filled += count
                }
                return filled
            }
            return state.next
        }
        guard bytes.readableBytes > 0 else {
            buffers.give(bytes)
            return nil
        }
        return (number, bytes)
    }
}
