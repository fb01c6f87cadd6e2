internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore

/// The layers of an image one after the other, for the thread of a pull. While one is written the next ones are read
/// already, so that small layers do not each wait for their first chunk.
struct LayersAhead {
    /// Layers that are read at once.
    static let depth = 4
    /// Bytes of each that wait to be written.
    private static let bytes = 2 << 20
    /// Chunks of each that are under way while it waits: all of them would be 16 MiB a layer, and delay those that are
    /// wanted now.
    private static let chunks = 2

    private let layers: [CachedLayer]
    private let readers: LayerReaders
    private var sources: CircularBuffer<BlockingLayerSource> = []
    private var started = 0

    init(_ layers: [CachedLayer], _ readers: LayerReaders) {
        self.layers = layers
        self.readers = readers
    }

    /// The next layer's bytes. There must be one.
    mutating func next() throws -> BlockingLayerSource {
        while started < layers.count, sources.count < Self.depth {
            let source = BlockingLayerSource(layers[started], aheadBytes: Self.bytes, aheadChunks: Self.chunks)
            sources.append(source)
            try readers.add(source.producer)
            started += 1
        }
        let source = sources.removeFirst()
        source.hurry()
        return source
    }
}

/// The tasks that read layers for the thread of a pull, so that a pull that is cancelled ends at its next read.
final class LayerReaders: Sendable {
    private let state = NIOLockedValueBox<(tasks: CircularBuffer<Task<Void, Never>>, isCancelled: Bool)>(([], false))

    func add(_ task: Task<Void, Never>) throws {
        let isCancelled = state.withLockedValue { state in
            // The layer that is written, and those ahead of it.
            if state.tasks.count > LayersAhead.depth { state.tasks.removeFirst() }
            state.tasks.append(task)
            return state.isCancelled
        }
        if isCancelled { throw CancellationError() }
    }

    func cancel() {
        let tasks = state.withLockedValue { state in
            state.isCancelled = true
            return state.tasks
        }
        for task in tasks { task.cancel() }
    }
}
