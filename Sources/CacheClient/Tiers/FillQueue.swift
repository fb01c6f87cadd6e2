internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// Puts chunks that a lower tier delivered into the tiers above it, beside the reader and bounded by bytes.
///
/// A fill that fails costs nothing but the next hit; the tier logs it at debug level.
final class FillQueue: Sendable {
    private let l1: L1Tier?
    private let l2: L2Client?
    private let limit: AsyncLimiter
    private let buffers: BufferPool
    private let running = NIOLockedValueBox<[UInt64: Task<Void, Never>]>([:])
    private let numbers = Atomic<UInt64>(0)

    /// - Parameter buffers: what a chunk that was filled, or needs no fill, gives its memory back to.
    init(l1: L1Tier?, l2: L2Client?, bytes: Int, buffers: BufferPool) {
        self.l1 = l1
        self.l2 = l2
        self.buffers = buffers
        limit = AsyncLimiter("fills", capacity: bytes, maximumWaiters: .max)
    }

    /// Starts to fill L1, and L2 too if `l2` says so. Waits only while too many bytes are on their way already.
    func fill(_ id: ChunkID, _ sealed: ByteBuffer, l2 fillsL2: Bool) async {
        guard l1 != nil || (fillsL2 && l2 != nil) else {
            buffers.give(sealed)
            return
        }
        let weight = sealed.storageCapacity
        do { try await limit.acquire(weight: weight) } catch {
            // Only a cancelled reader comes here: its chunk is not kept.
            return
        }
        let number = numbers.add(1, ordering: .relaxed).newValue
        running.withLockedValue { running in
            running[number] = Task {
                await self.put(id, sealed, l2: fillsL2)
                self.buffers.give(sealed)
                self.limit.release(weight: weight)
                _ = self.running.withLockedValue { $0.removeValue(forKey: number) }
            }
        }
    }

    /// Waits for the fills that are under way. Each is bounded by its tier's deadline.
    func drain() async {
        while let task = running.withLockedValue({ $0.values.first }) { await task.value }
    }

    /// Throws never: nobody cancels the task of a fill.
    private func put(_ id: ChunkID, _ sealed: ByteBuffer, l2 fillsL2: Bool) async {
        async let toL2: Void? = fillsL2 ? try? l2?.put(id, sealed) : nil
        try? await l1?.put(id, sealed)
        _ = await toL2
    }
}
