public import NIOCore

/// What the bytes of a layer are. The raw values are part of the format.
public enum LayerKind: UInt8, Sendable {
    /// An uncompressed tar of any dialect: skeleton, data region and entry table.
    case tar = 1
    /// Any file: a data region only, cut every 512 KiB; skeleton and entry table are empty.
    case file = 2
}

/// The streams of chunks that make up a layer. The raw values are part of the format.
public enum LayerStream: UInt8, Sendable, CaseIterable {
    /// The data region: an address space of slots of 512 KiB, of which chunk number *n* fills slot *n* from its start.
    case data = 0
    /// The skeleton: chunks that are read one after the other.
    case skeleton = 1
    /// The entry table: chunks that are read one after the other.
    case entries = 2
}

/// One chunk of a layer before sealing.
public struct PlainChunk: Sendable {
    public let stream: LayerStream
    /// Its number in its stream; a chunk of the data region starts at region address `slot * 512 KiB`.
    public let slot: Int
    /// 1 byte to ``ChunkLimits/plainBytes``; shorter than that anywhere in a stream, as what pads a chunk is not stored.
    public let bytes: ByteBuffer

    public init(stream: LayerStream, slot: Int, bytes: ByteBuffer) {
        self.stream = stream
        self.slot = slot
        self.bytes = bytes
    }
}

/// What a splitter knows once it has seen the last byte.
public struct LayerSummary: Sendable, Equatable {
    /// SHA-256 of all bytes of the source: OCI's `diffID` for a tar.
    public var diffID = SHA256Digest.zero
    /// Bytes of the source.
    public var byteCount: UInt64 = 0
    /// Entries in the entry table.
    public var entryCount = 0
    /// Chunks in each stream, indexed by the stream's raw value; every slot below has been handed out exactly once.
    public var slots = [0, 0, 0]

    /// Chunks in one stream.
    public func slots(in stream: LayerStream) -> Int { slots[Int(stream.rawValue)] }
}

/// Finished chunks on their way to the caller of the splitter, who takes them before the splitter reads on: a handful at most.
struct ChunkQueue {
    private var chunks = CircularBuffer<PlainChunk>()

    mutating func append(_ stream: LayerStream, _ slot: Int, _ bytes: ByteBuffer) {
        chunks.append(PlainChunk(stream: stream, slot: slot, bytes: bytes))
    }

    mutating func popFirst() -> PlainChunk? { chunks.popFirst() }
}
