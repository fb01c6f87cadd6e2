package import CacheChunks
internal import CacheCrypto

/// About how often chunks were asked for of late, those included that are not here: a count-min sketch with
/// conservative update, in bounded memory. It estimates too much at worst, never too little; what is long ago counts
/// less and less, because all counters are halved now and then.
struct FrequencySketch: Sendable {
    /// Counts go up to here: who was the favourite for long is caught up with in a few rounds.
    private static let maximum: UInt8 = 7
    private static let rows: UInt64 = 4

    private var counters: [UInt8]
    private let mask: UInt64
    private var additions = UInt64(0)
    /// It has seen less than one period of reads.
    private(set) var isYoung = true

    /// - Parameter counters: of a byte each; rounded up to a power of two, at least 16 KiB, so that a cache that holds
    ///   smaller chunks than expected is not misled, and at most 8 MiB.
    init(counters wanted: Int) {
        var size = 1 << 14
        while size < min(wanted, 1 << 23) { size <<= 1 }
        counters = Array(repeating: 0, count: size)
        mask = UInt64(size - 1)
    }

    func estimate(_ id: ChunkID) -> UInt8 {
        let word = id.hashWord
        return (0..<Self.rows).reduce(Self.maximum) { min($0, counters[place(word, $1)]) }
    }

    /// Counts `reads` more, and halves all counters after `period` of them.
    mutating func add(_ id: ChunkID, _ reads: UInt8, period: UInt64) {
        let word = id.hashWord
        let count = min(estimate(id) &+ reads, Self.maximum)
        for row in 0..<Self.rows {
            let place = place(word, row)
            counters[place] = max(counters[place], count)
        }
        additions &+= UInt64(reads)
        guard additions >= period else { return }
        additions = 0
        isYoung = false
        for index in counters.indices { counters[index] /= 2 }
    }

    private func place(_ word: UInt64, _ row: UInt64) -> Int {
        Int(truncatingIfNeeded: (word &+ row &* (word >> 32 | 1)) & mask)
    }
}

extension ChunkID {
    /// 64 bits of the name, which is a hash already.
    package var hashWord: UInt64 {
        digest.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
    }
}
