/// The two FIFO queues of the store; the raw values are part of the format.
package enum StoreQueue: UInt8, Sendable {
    case small = 0
    case main = 1
}

/// Where the bytes of a sealed chunk go: as many full extents as it has, then a tail that lives inline in the chunk's record if
/// it is short and in one more, padded extent if it is not. (A raw chunk of 512 KiB would otherwise need an extent for 128 bytes.)
package struct StoreLayout: Sendable, Equatable {
    package static let pageBytes = 4096
    /// LMDB's header before a value that has pages of its own.
    package static let overflowHeaderBytes = 16
    /// Record and tail together stay below the 2,038 bytes at which LMDB gives a node pages of its own.
    package static let inlineTailBytes = 1024

    /// Pages of one extent, LMDB's header included.
    package let extentPages: Int

    package init(extentPages: Int) {
        self.extentPages = extentPages
    }

    package static let standard = StoreLayout(extentPages: 8)

    package var extentBytes: Int { extentPages * Self.pageBytes - Self.overflowHeaderBytes }

    package func tailBytes(_ sealedLength: Int) -> Int {
        let rest = sealedLength % extentBytes
        return rest <= Self.inlineTailBytes ? rest : 0
    }

    package func extentCount(_ sealedLength: Int) -> Int {
        sealedLength / extentBytes + (sealedLength % extentBytes > Self.inlineTailBytes ? 1 : 0)
    }

    /// What a chunk takes on disk, its share of index pages estimated from above (half-full pages).
    package func diskBytes(_ sealedLength: Int) -> UInt64 {
        UInt64(extentCount(sealedLength) * (extentPages * Self.pageBytes + 40) + 2 * tailBytes(sealedLength) + 256)
    }
}

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
    /// Reads that were counted up to now, at most ``S3FIFO/maximumFrequency``.
    var frequency: UInt8
    private var reserved: UInt16 = 0
    /// Number under which the extents are kept; it never changes.
    var base: UInt64
    /// Key in the queue's table.
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

    /// The record at the start of `bytes`; `nil` unless it and its tail have exactly the size that the layout gives them.
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

/// The one record of `meta`: what the store is and how full its queues are. Rewritten by every write transaction.
struct StoreState: Equatable {
    static let byteCount = 72
    static let currentMagic: UInt32 = 0x5354_434C  // "LCTS"
    static let currentVersion: UInt32 = 1

    var magic: UInt32 = StoreState.currentMagic
    var version: UInt32 = StoreState.currentVersion
    var extentPages: UInt32
    var reserved: UInt32 = 0
    /// The next number for a chunk or a place in a queue.
    var nextNumber: UInt64 = 1
    var smallChunks: UInt64 = 0
    /// ``StoreLayout/diskBytes(_:)`` of all chunks in the small queue.
    var smallBytes: UInt64 = 0
    var mainChunks: UInt64 = 0
    var mainBytes: UInt64 = 0
    var sealedBytes: UInt64 = 0
    /// Commits that changed anything; also what makes a transaction without other changes one that LMDB writes.
    var commits: UInt64 = 0

    init(layout: StoreLayout) {
        extentPages = UInt32(truncatingIfNeeded: layout.extentPages)
    }

    init?(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count == Self.byteCount else { return nil }
        self = bytes.loadUnaligned(as: StoreState.self)
        guard magic == Self.currentMagic, version == Self.currentVersion else { return nil }
    }

    var chunks: UInt64 { smallChunks &+ mainChunks }
    var usedBytes: UInt64 { smallBytes &+ mainBytes }

    mutating func add(_ diskBytes: UInt64, to queue: StoreQueue) {
        if queue == .small {
            smallChunks &+= 1
            smallBytes &+= diskBytes
        } else {
            mainChunks &+= 1
            mainBytes &+= diskBytes
        }
    }

    mutating func subtract(_ diskBytes: UInt64, from queue: StoreQueue) {
        if queue == .small {
            smallChunks = smallChunks > 0 ? smallChunks - 1 : 0
            smallBytes = smallBytes > diskBytes ? smallBytes - diskBytes : 0
        } else {
            mainChunks = mainChunks > 0 ? mainChunks - 1 : 0
            mainBytes = mainBytes > diskBytes ? mainBytes - diskBytes : 0
        }
    }
}
