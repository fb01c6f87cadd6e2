internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Fills on their way into one tier, bounded by bytes of their own.
final class FillLane: Sendable {
    private struct State {
        var running: [UInt64: Task<Void, Never>] = [:]
        var nextNumber: UInt64 = 0
    }

    private let limit: AsyncLimiter
    private let deadlines: Deadlines
    private let put: @Sendable (ChunkID, ByteBuffer) async -> Void
    private let state = NIOLockedValueBox(State())
    private let dropped = Synchronization.Atomic<Int>(0)

    /// - Parameter put: returns once the tier has the chunk, refuses it, or is late; at once if it is cancelled.
    init(
        _ name: String, bytes: Int, deadlines: Deadlines,
        put: @escaping @Sendable (ChunkID, ByteBuffer) async -> Void
    ) {
        limit = AsyncLimiter(name, capacity: bytes, maximumWaiters: .max)
        self.deadlines = deadlines
        self.put = put
    }

    /// Fills that were dropped, because the tier did not take them as fast as they came or not before the end.
    var droppedCount: Int { dropped.load(ordering: .relaxed) }

    /// Starts a fill; waits for room, but no longer than `wait`, and drops the fill then.
    ///
    /// - Parameter done: is called once the memory of the chunk is not needed here any more.
    /// - Returns: whether there was room at once.
    func start(
        _ id: ChunkID, _ sealed: ByteBuffer, waitingAtMost wait: () -> Duration, done: @escaping @Sendable () -> Void
    ) async -> Bool {
        let weight = sealed.storageCapacity
        let isAtOnce = limit.acquireNow(weight: weight)
        if !isAtOnce {
            let patience = wait()
            let hasRoom =
                patience > .zero ? try? await limit.acquire(weight: weight, within: patience, deadlines) : false
            guard hasRoom == true else {
                // A reader that was cancelled, or a tier that is slow: nobody's chunk depends on it.
                dropped.add(1, ordering: .relaxed)
                done()
                return false
            }
        }
        state.withLockedValue { state in
            state.nextNumber += 1
            let number = state.nextNumber
            state.running[number] = Task {
                await self.put(id, sealed)
                if Task.isCancelled { self.dropped.add(1, ordering: .relaxed) }
                self.limit.release(weight: weight)
                done()
                _ = self.state.withLockedValue { $0.running.removeValue(forKey: number) }
            }
        }
        return isAtOnce
    }

    /// Waits for the fills that are under way. Each is bounded by its tier's deadline.
    func drain() async {
        while let task = state.withLockedValue({ $0.running.values.first }) { await task.value }
    }

    /// The same, but what is not done within `duration` is dropped.
    func drain(within duration: Duration) async {
        if state.withLockedValue({ $0.running.isEmpty }) { return }
        if duration > .zero, (try? await deadlines.run(duration, "fills") { await self.drain() }) != nil { return }
        for task in state.withLockedValue({ Array($0.running.values) }) { task.cancel() }
    }
}
