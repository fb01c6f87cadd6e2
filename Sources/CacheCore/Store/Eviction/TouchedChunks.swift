internal import CacheChunks
internal import NIOConcurrencyHelpers

/// Names of chunks whose reads were counted and are not yet in their records. Bounded: what does not fit stays in the
/// ``FrequencyTable`` alone, which this process' own evictions ask as well.
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
