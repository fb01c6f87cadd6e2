internal import CacheChunks

/// The key of one extent: the chunk's number, so that a chunk's extents are neighbours, and its place in the chunk.
enum ExtentKey {
    static let indexBits: UInt64 = 8

    static func number(base: UInt64, index: Int) -> UInt64 { base << indexBits | UInt64(truncatingIfNeeded: index) }
}

/// The fixed part of a value in `chunks`; the inline tail follows it.
///
/// Native byte order, as all of LMDB's files: a store never moves between machines.
struct ChunkRecord {
    static let byteCount = 24

    var sealedLength: UInt32
    private var queueByte: UInt8
    /// Reads that count in favour of keeping the chunk, at most ``S3FIFO/maximumFrequency``.
    var frequency: UInt8
    private var reserved: UInt16 = 0
    /// The number in the keys of the extents (``ExtentKey``); it never changes.
    var base: UInt64
    /// The chunk's key in the table of its queue.
    var sequence: UInt64

    var queue: StoreQueue {
        get { queueByte == StoreQueue.small.rawValue ? .small : .main }
        set { queueByte = newValue.rawValue }
    }

    init(sealedLength: Int, queue: StoreQueue, number: UInt64) {
        self.sealedLength = UInt32(truncatingIfNeeded: sealedLength)
        queueByte = queue.rawValue
        frequency = 0
        base = number
        sequence = number
    }

    /// The record at the start of `bytes`; `nil` unless it and its tail have exactly the size that the layout gives
    /// them.
    init?(_ bytes: UnsafeRawBufferPointer, layout: StoreLayout) {
        guard bytes.count >= Self.byteCount else { return nil }
        self = bytes.loadUnaligned(as: ChunkRecord.self)
        let length = Int(sealedLength)
        guard length >= 1, length <= ChunkLimits.sealedBytes, queueByte <= StoreQueue.main.rawValue,
            bytes.count == Self.byteCount + layout.tailBytes(length)
        else { return nil }
    }

    func write(to bytes: UnsafeMutableRawBufferPointer) {
        bytes.storeBytes(of: self, as: ChunkRecord.self)
    }
}
