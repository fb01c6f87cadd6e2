internal import CacheBase
internal import CacheChunks
internal import Synchronization

/// How often chunks were read since the store's records last took note, for all chunks in bounded memory and without
/// locks.
///
/// One slot serves all chunks whose hash falls on it; a collision makes one of them look a little warmer, nothing else.
/// A slot holds the time of the last read that counted (30 bits, seconds) and the count (2 bits). A read within
/// `interval` of the last one that counted, or of the put, does not count: repeated reads of one image start are one.
final class FrequencyTable: Sendable {
    private let slots: AtomicSlots
    private let interval: UInt32

    /// - Parameter slots: rounded up to a power of two, 4 bytes each.
    init(slots wanted: Int, intervalSeconds: UInt32) {
        var size = 1024
        while size < min(wanted, 1 << 22) { size <<= 1 }
        interval = intervalSeconds
        slots = AtomicSlots(count: size)
    }

    /// Notes a read at `now` seconds; whether it counted.
    func touch(_ id: ChunkID, now: UInt32) -> Bool {
        let slot = slot(id)
        let old = slot.pointee.load(ordering: .relaxed)
        guard interval == 0 || Self.age(old, now) >= interval || old == 0 else { return false }
        let frequency = min(old & 3 + 1, UInt32(S3FIFO.maximumFrequency))
        // A lost race is another read at the same moment.
        return slot.pointee.compareExchange(
            expected: old, desired: now << 2 | frequency, ordering: .relaxed
        ).exchanged
    }

    /// Notes that the chunk was put at `now`: no reads counted yet.
    func reset(_ id: ChunkID, now: UInt32) {
        slot(id).pointee.store(now << 2, ordering: .relaxed)
    }

    /// The reads that were counted since the last call; they are from now on the caller's to keep.
    func take(_ id: ChunkID) -> UInt8 {
        let slot = slot(id)
        let old = slot.pointee.load(ordering: .relaxed)
        guard old & 3 != 0 else { return 0 }
        let taken = slot.pointee.compareExchange(expected: old, desired: old & ~3, ordering: .relaxed).exchanged
        return taken ? UInt8(old & 3) : 0
    }

    private func slot(_ id: ChunkID) -> UnsafeMutablePointer<Atomic<UInt32>> {
        slots[Int(truncatingIfNeeded: id.hashWord >> 20) & (slots.count - 1)]
    }

    private static func age(_ slot: UInt32, _ now: UInt32) -> UInt32 {
        (now &- slot >> 2) & 0x3FFF_FFFF
    }
}
