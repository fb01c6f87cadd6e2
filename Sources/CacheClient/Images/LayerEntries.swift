public import CacheCore
internal import NIOCore

/// The files of a layer in the order of its tar.
public struct LayerEntries: AsyncSequence, Sendable {
    public typealias Element = LayerEntry

    let layer: CachedLayer

    public func makeAsyncIterator() -> Iterator { Iterator(layer) }

    public struct Iterator: AsyncIteratorProtocol {
        private let layer: CachedLayer
        private var chunks: ReadAhead
        private var decoder = EntryTableReader()
        private var slot = 0

        init(_ layer: CachedLayer) {
            self.layer = layer
            chunks = ReadAhead(layer: layer, refs: layer.manifest.entries, depth: ReadAheadDepth(2), use: .kept)
        }

        /// - Throws: ``CacheError`` of the tiers; `.corrupt` if the table is not what a writer would have made.
        public mutating func next() async throws -> LayerEntry? {
            if layer.manifest.entries.isEmpty { return nil }
            while true {
                switch try decoder.next() {
                case .entry(let entry):
                    return entry
                case .end:
                    return nil
                case .needMore:
                    guard slot < layer.manifest.entries.count else {
                        try decoder.checkEnded()
                        return nil
                    }
                    let bytes = try await chunks.chunk(slot)
                    bytes.withUnsafeReadableBytes { decoder.append($0) }
                    slot += 1
                }
            }
        }
    }
}
