internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// Chunks that were read ahead, the last ones first: in the memory cache, what nobody has read yet is the first to go.
///
/// First in, first out, and bounded: a stream that was given up loses its chunks to those that go on.
final class LandedChunks: Sendable {
    private struct State {
        var chunks: [ChunkRef: ByteBuffer] = [:]
        var order = CircularBuffer<ChunkRef>()
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
            guard state.chunks.updateValue(bytes, forKey: ref) == nil else { return nil }
            state.order.append(ref)
            guard state.order.count > capacity else { return nil }
            return state.chunks.removeValue(forKey: state.order.removeFirst())
        }
        _ = consume gone
    }

    func get(_ ref: ChunkRef) -> ByteBuffer? { state.withLockedValue { $0.chunks[ref] } }

    var count: Int { state.withLockedValue { $0.chunks.count } }
}
