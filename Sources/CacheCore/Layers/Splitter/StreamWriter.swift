internal import CacheChunks
internal import NIOCore

/// Cuts the skeleton or the entry table into chunks while it is written. An untouched stream has no chunk at all.
struct StreamWriter {
    private let stream: LayerStream
    private let magic: [UInt8]
    private var chunk = ByteBuffer()
    /// Chunks handed over so far.
    private(set) var slots = 0
    /// Whether anything was written.
    private(set) var isStarted = false

    /// - Parameter magic: what the stream begins with, version included.
    init(_ stream: LayerStream, magic: [UInt8]) {
        self.stream = stream
        self.magic = magic
    }

    mutating func write(_ bytes: [UInt8], to queue: inout ChunkQueue) {
        bytes.withUnsafeBytes { write($0, to: &queue) }
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer, to queue: inout ChunkQueue) {
        if !isStarted {
            isStarted = true
            write(magic, to: &queue)
        }
        var rest = bytes
        while !rest.isEmpty {
            let count = min(rest.count, ChunkLimits.plainBytes - chunk.readableBytes)
            chunk.writeBytes(UnsafeRawBufferPointer(rebasing: rest[..<count]))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if chunk.readableBytes == ChunkLimits.plainBytes { flush(to: &queue) }
        }
    }

    /// Ends the chunk that is being filled, if there is one.
    mutating func flush(to queue: inout ChunkQueue) {
        guard chunk.readableBytes > 0 else { return }
        queue.append(stream, slots, chunk)
        slots += 1
        chunk = ByteBuffer()
    }
}
