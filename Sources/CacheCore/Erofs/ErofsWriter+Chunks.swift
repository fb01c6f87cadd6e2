internal import CacheChunks
package import NIOCore

extension ErofsWriter {
    /// Fills a buffer with the metadata's next chunk: 512 KiB, or what is left; nothing at the end.
    ///
    /// - Parameter buffer: is emptied first.
    package mutating func writeChunk(into buffer: inout ByteBuffer) {
        buffer.clear()
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: ChunkLimits.plainBytes) { room in
            var filled = 0
            while filled < ChunkLimits.plainBytes {
                let count = write(into: UnsafeMutableRawBufferPointer(rebasing: room[filled..<ChunkLimits.plainBytes]))
                if count == 0 { break }
                filled += count
            }
            return filled
        }
    }
}
