public import CacheChunks
public import NIOCore

/// One chunk of a layer before sealing.
public struct PlainChunk: Sendable {
    public let stream: LayerStream
    /// Its number in its stream; a chunk of the data region starts at region address `slot * 512 KiB`.
    public let slot: Int
    /// 1 byte to ``ChunkLimits/plainBytes``; shorter than that anywhere in a stream, as what pads a chunk is not
    /// stored.
    public let bytes: ByteBuffer

    public init(stream: LayerStream, slot: Int, bytes: ByteBuffer) {
        self.stream = stream
        self.slot = slot
        self.bytes = bytes
    }
}

/// Finished chunks on their way to the caller of the splitter, who takes them before the splitter reads on: a handful
/// at most.
struct ChunkQueue {
    private var chunks = CircularBuffer<PlainChunk>()

    mutating func append(_ stream: LayerStream, _ slot: Int, _ bytes: ByteBuffer) {
        chunks.append(PlainChunk(stream: stream, slot: slot, bytes: bytes))
    }

    mutating func popFirst() -> PlainChunk? { chunks.popFirst() }
}
