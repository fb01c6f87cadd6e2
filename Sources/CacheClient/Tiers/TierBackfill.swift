internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Fills on their way into one tier, bounded by bytes of their own.
final class TierBackfill: Sendable {
    private struct State {
        var running: [UInt64: Task<Void, Never>] = [:]
        var nextNumber: UInt64 = 0
    }

    private let tier: any FillTarget
    private let limit: AsyncLimiter
    private let load: ReadLoad
    private let deadlines: Deadlines
    private let state = NIOLockedValueBox(State())
    private let dropped = Synchronization.Atomic<Int>(0)

    /// - Parameters:
    ///   - name: what messages call them, e.g. "fills of L1".
    ///   - bytes: that may be on their way at once.
    init(_ name: String, into tier: any FillTarget, bytes: Int, load: ReadLoad, deadlines: Deadlines) {
        self.tier = tier
        limit = AsyncLimiter(name, capacity: bytes, maximumWaiters: .max)
        self.load = load
        self.deadlines = deadlines
    }

    /// Fills that were dropped, because the tier did not take them as fast as they came or not before the end.
    var droppedCount: Int { dropped.load(ordering: .relaxed) }

    /// Starts a fill. Waits for room within the tier's budget, and drops the fill when that is used up.
    /// - Parameters:
    ///   - gap: with a lease others wait for the fill: such a one goes before those that have none.
    ///   - done: is called once the memory of the chunk is not needed here any more.
    func start(
        _ id: ChunkID, _ sealed: ByteBuffer, _ gap: TierGap?, done: @escaping @Sendable () -> Void
    ) async {
        let weight = sealed.storageCapacity
        if limit.acquireNow(weight: weight) { return put(id, sealed, gap, weight: weight, done) }
        let waitedBefore = load.waited
        let hasRoom = await waitForRoom(weight, goesFirst: gap?.lease != nil)
        if hasRoom {
            put(id, sealed, gap, weight: weight, done)
        } else {
            dropped.add(1, ordering: .relaxed)
            done()
        }
        tier.waitedForFill(load.waited - waitedBefore, readers: load.readers)
    }

    /// False if there is none in time, or the reader was cancelled.
    private func waitForRoom(_ weight: Int, goesFirst: Bool) async -> Bool {
        let wait = tier.waitForFill
        guard wait > .zero else { return false }
        return (try? await limit.acquire(weight: weight, goesFirst: goesFirst, within: wait, deadlines)) == true
    }

    private func put(
        _ id: ChunkID, _ sealed: ByteBuffer, _ gap: TierGap?, weight: Int, _ done: @escaping @Sendable () -> Void
    ) {
        state.withLockedValue { state in
            state.nextNumber += 1
            let number = state.nextNumber
            state.running[number] = Task {
                // Throws only if it is cancelled: then the fill is dropped, and no reader waits for it.
                try? await self.tier.put(id, sealed, gap)
                if Task.isCancelled { self.dropped.add(1, ordering: .relaxed) }
                self.limit.release(weight: weight)
                done()
                _ = self.state.withLockedValue { $0.running.removeValue(forKey: number) }
            }
        }
    }

    /// Waits for the fills that are under way. Each is bounded by its tier's deadline.
    func drain() async {
        while let task = state.withLockedValue({ $0.running.values.first }) { await task.value }
    }

    /// The same within the tier's budget; what is not done by then is dropped.
    func close() async {
        let began = deadlines.time.now()
        await drain(within: tier.waitForEnd)
        tier.waitedForFill(deadlines.time.now() - began, readers: 1)
    }

    private func drain(within duration: Duration) async {
        if state.withLockedValue({ $0.running.isEmpty }) { return }
        if duration > .zero, (try? await deadlines.run(duration, "fills") { await self.drain() }) != nil { return }
        for task in state.withLockedValue({ Array($0.running.values) }) { task.cancel() }
    }
}
