internal import CacheCore
internal import NIOCore

/// Fetches the chunks of a stream ahead of the one that is asked for, a bounded number at once. For one task; give it
/// up at any time.
struct ReadAhead {
    private let layer: CachedLayer
    private let refs: [ChunkRef]
    private let depth: ReadAheadDepth
    private let use: ChunkUse
    private let flights = Flights()
    private static let keptChunks = 16
    private var nextToStart = 0
    /// Chunks that were asked for with `keep`, the last ones used at the end: a pack stays open while packs of another
    /// group and big files pass by, and is read again after them. At most 8 MiB; of the demo's 1,325 chunks, four were
    /// too few for 46.
    private var kept: [(slot: Int, bytes: ByteBuffer)] = []

    init(layer: CachedLayer, refs: [ChunkRef], depth: ReadAheadDepth, use: ChunkUse) {
        self.layer = layer
        self.refs = refs
        self.depth = depth
        self.use = use
    }

    /// The plaintext of a slot, which is usually the next one in order; any other costs a fetch of its own.
    ///
    /// - Parameters:
    ///   - last: the last slot that will be asked for; nothing beyond it is fetched.
    ///   - keep: whether the slot may be asked for again soon.
    mutating func chunk(_ slot: Int, upTo last: Int? = nil, keep: Bool = false) async throws -> ByteBuffer {
        guard refs.indices.contains(slot) else {
            throw CacheError(.corrupt, "a layer names slot \(slot) of \(refs.count)")
        }
        if let bytes = held(slot) { return bytes }
        start(from: slot, upTo: min(last ?? refs.count - 1, refs.count - 1))
        let bytes: ByteBuffer
        if let flight = flights.take(slot) {
            bytes = try await withTaskCancellationHandler {
                try await layer.waiting { try await flight.value }
            } onCancel: {
                flight.cancel()
            }
        } else {
            bytes = try await layer.chunk(refs[slot], use: use)
        }
        if keep {
            if kept.count == Self.keptChunks {
                let oldest = kept.removeFirst().bytes
                if use == .recycled { layer.recycle(oldest) }
            }
            kept.append((slot, bytes))
        }
        return bytes
    }

    /// The plaintext of a slot that was asked for with `keep` before, if it is still here. Never suspends: small files
    /// that follow one another are in one pack.
    mutating func held(_ slot: Int) -> ByteBuffer? {
        guard let index = kept.lastIndex(where: { $0.slot == slot }) else { return nil }
        if index < kept.count - 1 { kept.append(kept.remove(at: index)) }
        return kept[kept.count - 1].bytes
    }

    private mutating func start(from slot: Int, upTo last: Int) {
        let depth = depth.chunks
        // A jump forward leaves out what lies between; what was started for it is given up.
        if slot > nextToStart { nextToStart = slot }
        flights.giveUp(below: slot - depth)
        while nextToStart <= last, nextToStart < slot + depth {
            let ref = refs[nextToStart]
            flights.add(nextToStart, Task { [layer, use] in try await layer.chunk(ref, use: use, isAhead: true) })
            nextToStart += 1
        }
    }

    /// The tasks that were started and not taken; cancelled with the reader that would have taken them.
    private final class Flights {
        private var tasks: [Int: Task<ByteBuffer, any Error>] = [:]

        func add(_ slot: Int, _ task: Task<ByteBuffer, any Error>) { tasks[slot] = task }

        func take(_ slot: Int) -> Task<ByteBuffer, any Error>? { tasks.removeValue(forKey: slot) }

        func giveUp(below slot: Int) {
            for (old, task) in tasks where old < slot {
                task.cancel()
                tasks[old] = nil
            }
        }

        deinit {
            for task in tasks.values { task.cancel() }
        }
    }
}
