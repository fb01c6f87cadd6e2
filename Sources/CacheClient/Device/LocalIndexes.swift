internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// The indexes that this host makes of images which were pushed without one. An image that is open several times has
/// one, and several that open it at once make one.
final class LocalIndexes: Sendable {
    private let flights = SingleFlight<ManifestID, LocalIndex>()
    private let open = NIOLockedValueBox<[ManifestID: Weak]>([:])

    private struct Weak: Sendable {
        weak let index: LocalIndex?
    }

    /// - Parameter refs: where a host remembers what it has in L1.
    /// - Throws: as ``LayerCache/layout(of:)``.
    func index(of image: CachedImage, _ refs: RememberedRefs?) async throws -> LocalIndex {
        try await flights.join(image.id) {
            if let known = self.open.withLockedValue({ $0[image.id]?.index }) { return known }
            let index = try await LocalIndex.find(image, refs)
            self.open.withLockedValue { open in
                open = open.filter { $0.value.index != nil }
                open[image.id] = Weak(index: index)
            }
            return index
        }.value
    }
}
