internal import CacheChunks
internal import NIOConcurrencyHelpers

/// The names of chunks whose reads were counted in memory and are to be written to their records (a dirty list).
///
/// Bounded: the reads of a chunk that does not fit stay in the ``FrequencyTable`` alone, which evictions of this
/// process ask as well.
final class TouchedChunks: Sendable {
    private static let maximumCount = 1 << 16
    private let ids = NIOLockedValueBox<[ChunkID]>([])

    func append(_ id: ChunkID) {
        ids.withLockedValue { if $0.count < Self.maximumCount { $0.append(id) } }
    }

    /// Up to `count` of them, which are no longer kept here.
    func take(_ count: Int) -> [ChunkID] {
        ids.withLockedValue { ids in
            let taken = Array(ids.suffix(count))
            ids.removeLast(taken.count)
            return taken
        }
    }
}
