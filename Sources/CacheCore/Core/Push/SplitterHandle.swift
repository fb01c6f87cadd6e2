internal import CacheBase
internal import CacheLayers
internal import Synchronization

/// Hands a splitter, which belongs to one thread at a time, from one thread of the pool to the next.
final class SplitterHandle: Sendable {
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
