internal import CacheBase
internal import CacheLayers
internal import NIOConcurrencyHelpers

/// Where chunks come from, one after the other. Blocks; for several threads.
protocol PlainChunkSource: Sendable {
    /// The next chunk; `nil` after the last one.
    func next() throws -> PlainChunk?
}

/// Hands a splitter, which belongs to one thread at a time, from one thread of the pool to the next.
///
/// Unchecked, because a splitter is not Sendable: it is touched under the lock alone. Not `Synchronization.Mutex`: a
/// thread has the splitter for most of a millisecond, and those that wait for that kind of lock may spin in the kernel
/// meanwhile.
final class SplitterHandle: PlainChunkSource, @unchecked Sendable {
    private let lock = NIOLock()
    private let splitter: LayerSplitter

    init(_ splitter: sending LayerSplitter) {
        self.splitter = splitter
    }

    func next() throws -> PlainChunk? {
        try lock.withLock { try splitter.next() }
    }

    /// What was found; complete after the end.
    var summary: LayerSummary { lock.withLock { splitter.summary } }
}
