internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// Backfill: puts chunks that a lower tier delivered into the tiers above it, beside the reader and bounded by bytes
/// for each tier.
///
/// A fill that fails or is dropped costs the next hit and nothing else. Readers wait for a tier that takes chunks more
/// slowly than they come only within that tier's budget; so does the end of a pull.
final class Backfill: Sendable {
    private let l1: TierBackfill?
    private let l2: TierBackfill?
    private let load: ReadLoad
    private let buffers: BufferPool

    /// - Parameters:
    ///   - bytes: that may be on their way to each tier.
    ///   - buffers: what a chunk that was filled, or needs no fill, gives its memory back to.
    init(l1: L1Tier?, l2: L2Client?, bytes: Int, load: ReadLoad, deadlines: Deadlines, buffers: BufferPool) {
        self.l1 = l1.map { TierBackfill("fills of L1", into: $0, bytes: bytes, load: load, deadlines: deadlines) }
        self.l2 = l2.map { TierBackfill("fills of L2", into: $0, bytes: bytes, load: load, deadlines: deadlines) }
        self.load = load
        self.buffers = buffers
    }

    /// Fills that were dropped so far, by tier.
    var dropped: (l1: Int, l2: Int) { (l1?.droppedCount ?? 0, l2?.droppedCount ?? 0) }

    /// Starts to fill L1 unless `l1` says no, and L2 if that has a gap; first L2, if others wait for this fill. Waits
    /// only while too many bytes are on their way already.
    /// - Parameter isAhead: no reader waits for the chunk yet.
    func fill(
        _ id: ChunkID, _ sealed: ByteBuffer, l1 fillsL1: Bool = true, l2 gap: TierGap?, isAhead: Bool = false
    ) async {
        let l1 = fillsL1 ? l1 : nil
        let l2 = gap == nil ? nil : l2
        let isLeased = gap?.lease != nil
        let users = Users(sealed, (l1 == nil ? 0 : 1) + (l2 == nil ? 0 : 1), buffers)
        load.began(isAhead: isAhead)
        defer { load.ended(isAhead: isAhead) }
        if isLeased { await l2?.start(id, sealed, gap, done: users.leave) }
        await l1?.start(id, sealed, nil, done: users.leave)
        if !isLeased { await l2?.start(id, sealed, gap, done: users.leave) }
    }

    /// Waits for the fills that are under way, each bounded by its tier's deadline.
    func drain() async {
        await l1?.drain()
        await l2?.drain()
    }

    /// The end of all reads: waits for each tier within its budget, and drops the rest.
    func close() async {
        async let drained: Void? = l2?.close()
        await l1?.close()
        _ = await drained
    }

    /// The fills that still hold the memory of a chunk; the last one gives it back.
    private final class Users: Sendable {
        private let state: NIOLockedValueBox<(count: Int, sealed: ByteBuffer)>
        private let buffers: BufferPool

        init(_ sealed: ByteBuffer, _ count: Int, _ buffers: BufferPool) {
            state = NIOLockedValueBox((count, sealed))
            self.buffers = buffers
            if count == 0 { buffers.give(take()) }
        }

        @Sendable func leave() {
            let isLast = state.withLockedValue { state in
                state.count -= 1
                return state.count == 0
            }
            if isLast { buffers.give(take()) }
        }

        /// A buffer that was still held here would be copied by its next user.
        private func take() -> ByteBuffer {
            state.withLockedValue { state in
                defer { state.sealed = ByteBuffer() }
                return state.sealed
            }
        }
    }
}
