internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// Chunks that were read ahead, the last ones first: in the memory cache, what nobody has read yet is the first to go.
///
/// First in, first out, and bounded: a stream that was given up loses its chunks to those that go on. What a long
/// stream has gone through is taken out.
final class LandedChunks: Sendable {
    private struct State {
        var chunks: [ChunkRef: (bytes: ByteBuffer, number: UInt64)] = [:]
        /// All that came, and may have been taken out and have come again since.
        var order = CircularBuffer<(ref: ChunkRef, number: UInt64)>()
        var nextNumber: UInt64 = 0
    }

    private let state = NIOLockedValueBox(State())
    private let capacity: Int

    /// - Parameter capacity: the most chunks.
    init(capacity: Int) {
        self.capacity = capacity
    }

    func add(_ ref: ChunkRef, _ bytes: ByteBuffer) {
        // Freed after the lock.
        let gone = state.withLockedValue { state -> ByteBuffer? in
            guard state.chunks[ref] == nil else { return nil }
            state.chunks[ref] = (bytes, state.nextNumber)
            state.order.append((ref, state.nextNumber))
            state.nextNumber += 1
            guard state.order.count > capacity else { return nil }
            let oldest = state.order.removeFirst()
            guard state.chunks[oldest.ref]?.number == oldest.number else { return nil }
            return state.chunks.removeValue(forKey: oldest.ref)?.bytes
        }
        _ = consume gone
    }

    func get(_ ref: ChunkRef) -> ByteBuffer? { state.withLockedValue { $0.chunks[ref]?.bytes } }

    func remove(_ ref: ChunkRef) {
        let gone = state.withLockedValue { $0.chunks.removeValue(forKey: ref) }
        _ = consume gone
    }

    var count: Int { state.withLockedValue { $0.chunks.count } }
}
