internal import CacheBase
internal import CacheLayers
internal import Synchronization

/// Where chunks come from, one after the other. Blocks; for several threads.
protocol PlainChunkSource: Sendable {
    /// The next chunk; `nil` after the last one.
    func next() throws -> PlainChunk?
}

/// Hands a splitter, which belongs to one thread at a time, from one thread of the pool to the next.
final class SplitterHandle: PlainChunkSource {
    private let splitter: Mutex<LayerSplitter>

    init(_ splitter: sending LayerSplitter) {
        self.splitter = Mutex(splitter)
    }

    func next() throws -> PlainChunk? {
        try splitter.withLock { try $0.next() }
    }

    /// What was found; complete after the end.
    var summary: LayerSummary { splitter.withLock { $0.summary } }
}
