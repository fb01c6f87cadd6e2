internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// Puts chunks that a lower tier delivered into the tiers above it, beside the reader and bounded by bytes for each tier.
///
/// A fill that fails or is dropped costs nothing but the next hit. Readers wait for a tier that takes chunks more slowly than they come
/// only for as long as they have patience with it; so does the end of a pull.
final class FillQueue: Sendable {
    private let l1: (tier: L1Tier, lane: FillLane)?
    private let l2: (budget: L2Budget, lane: FillLane)?
    private let load: ReadLoad
    private let time: TimeSource
    private let buffers: BufferPool

    /// - Parameters:
    ///   - bytes: that may be on their way to each tier.
    ///   - buffers: what a chunk that was filled, or needs no fill, gives its memory back to.
    init(l1: L1Tier?, l2: L2Client?, bytes: Int, load: ReadLoad, deadlines: Deadlines, buffers: BufferPool) {
        // Nothing but a cancellation is thrown, and then nobody waits any more.
        self.l1 = l1.map { l1 in
            (l1, FillLane("fills of L1", bytes: bytes, deadlines: deadlines) { try? await l1.put($0, $1) })
        }
        self.l2 = l2.map { l2 in
            (l2.budget, FillLane("fills of L2", bytes: bytes, deadlines: deadlines) { try? await l2.put($0, $1) })
        }
        self.load = load
        time = deadlines.time
        self.buffers = buffers
    }

    /// Fills that were dropped so far, by tier.
    var dropped: (l1: Int, l2: Int) { (l1?.lane.droppedCount ?? 0, l2?.lane.droppedCount ?? 0) }

    /// Starts to fill L1, and L2 too if `l2` says so. Waits only while too many bytes are on their way already.
    /// - Parameter isAhead: nobody waits for the chunk yet.
    func fill(_ id: ChunkID, _ sealed: ByteBuffer, l2 fillsL2: Bool, isAhead: Bool = false) async {
        let users = Users(sealed, (l1 == nil ? 0 : 1) + (fillsL2 && l2 != nil ? 1 : 0), buffers)
        load.began(isAhead: isAhead)
        defer { load.ended(isAhead: isAhead) }
        if let (tier, lane) = l1 {
            let before = load.waited
            let isAtOnce = await lane.start(id, sealed, waitingAtMost: { tier.waitForFills }, done: users.leave)
            if !isAtOnce { tier.waitedForFills(load.waited - before, readers: load.readers) }
        }
        if fillsL2, let (budget, lane) = l2 {
            let before = load.waited
            let isAtOnce = await lane.start(id, sealed, waitingAtMost: { budget.waitForRoom }, done: users.leave)
            if !isAtOnce { budget.waitedForRoom(load.waited - before) }
        }
    }

    /// Waits for the fills that are under way, each bounded by its tier's deadline.
    func drain() async {
        await l1?.lane.drain()
        await l2?.lane.drain()
    }

    /// The end of all reads: waits for no tier longer than there is patience left with it, and drops the rest.
    func close() async {
        async let drained: Void? = l2?.lane.drain(within: l2?.budget.waitForEnd ?? .zero)
        if let (tier, lane) = l1 {
            let began = time.now()
            await lane.drain(within: tier.waitForFills)
            tier.waitedForFills(time.now() - began, readers: 1)
        }
        _ = await drained
    }

    /// Those who still hold the memory of a chunk; the last one gives it back.
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

        /// What was still held here would be copied by whoever uses the memory next.
        private func take() -> ByteBuffer {
            state.withLockedValue { state in
                defer { state.sealed = ByteBuffer() }
                return state.sealed
            }
        }
    }
}
