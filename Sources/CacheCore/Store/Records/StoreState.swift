/// The one record of `meta`: what the store is and how full its queues are. Rewritten by every write transaction.
struct StoreState: Equatable {
    static let byteCount = 72
    static let currentMagic: UInt32 = 0x5354_434C  // "LCTS"
    static let currentVersion: UInt32 = 1
    /// Versions that a later build may write; any other number is damage.
    private static let newerVersions: ClosedRange<UInt32> = 2...255

    static var key: UnsafeRawBufferPointer {
        let name: StaticString = "state"
        return UnsafeRawBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    }

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

    /// The version of a record that a later build has written; `nil` for any other. Magic and version come first in all
    /// versions.
    static func newerVersion(_ bytes: UnsafeRawBufferPointer) -> UInt32? {
        guard bytes.count >= 8, bytes.loadUnaligned(as: UInt32.self) == currentMagic else { return nil }
        let version = bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
        return newerVersions.contains(version) ? version : nil
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
