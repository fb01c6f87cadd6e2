package import CacheChunks
internal import CacheCrypto

/// Fingerprints of the chunks that were evicted last from the small queue, in bounded memory: a table of buckets whose
/// entries carry the count of insertions at their time, as the S3-FIFO paper proposes, so that old ones need no
/// removal.
struct GhostSet: Sendable {
    private static let ways = 4

    private struct Entry {
        var fingerprint: UInt32 = 0
        /// 0: empty.
        var time: UInt32 = 0
    }

    private var entries: [Entry]
    private let mask: Int
    private var time: UInt32 = 0
    private var window: UInt32 = 0

    /// - Parameter slots: rounded up to a power of two.
    init(slots: Int) {
        var size = Self.ways
        while size < min(slots, 1 << 24) { size <<= 1 }
        entries = Array(repeating: Entry(), count: size)
        mask = size - 1
    }

    /// Remembers `id` until `window` others have come after it.
    mutating func insert(_ id: ChunkID, window: UInt64) {
        time &+= 1
        if time == 0 { time = 1 }
        self.window = UInt32(truncatingIfNeeded: max(1, min(window, UInt64(entries.count))))
        let (first, fingerprint) = place(id)
        var oldest = first
        for index in first..<first + Self.ways {
            if entries[index].time == 0 || entries[index].fingerprint == fingerprint {
                oldest = index
                break
            }
            if time &- entries[index].time > time &- entries[oldest].time { oldest = index }
        }
        entries[oldest] = Entry(fingerprint: fingerprint, time: time)
    }

    func contains(_ id: ChunkID) -> Bool {
        index(of: id).map { time &- entries[$0].time < window } ?? false
    }

    mutating func remove(_ id: ChunkID) {
        if let index = index(of: id) { entries[index] = Entry() }
    }

    private func index(of id: ChunkID) -> Int? {
        let (first, fingerprint) = place(id)
        return (first..<first + Self.ways).first {
            entries[$0].time != 0 && entries[$0].fingerprint == fingerprint
        }
    }

    private func place(_ id: ChunkID) -> (first: Int, fingerprint: UInt32) {
        let word = id.hashWord
        return (Int(truncatingIfNeeded: word) & mask & ~(Self.ways - 1), UInt32(truncatingIfNeeded: word >> 32))
    }
}

extension ChunkID {
    /// 64 bits of the name, which is a hash already.
    package var hashWord: UInt64 {
        digest.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }
}
