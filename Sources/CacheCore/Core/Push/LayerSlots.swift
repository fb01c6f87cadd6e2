internal import CacheBase
internal import CacheChunks

/// One chunk and its place in the layer.
struct PlacedChunk: Sendable {
    let stream: LayerStream
    let slot: Int
    let outcome: ChunkWriter.Outcome
}

/// The references of a layer by stream and slot, in whatever order they arrive.
struct LayerSlots: Sendable {
    private var streams: [LayerStream: [ChunkRef?]] = [:]

    mutating func place(_ chunk: PlacedChunk) {
        var refs = streams[chunk.stream, default: []]
        streams[chunk.stream] = []
        if refs.count <= chunk.slot { refs.append(contentsOf: repeatElement(nil, count: chunk.slot + 1 - refs.count)) }
        refs[chunk.slot] = chunk.outcome.ref
        streams[chunk.stream] = refs
    }

    /// All slots of a stream. Throws if one was never filled, which a correct splitter excludes.
    func refs(_ stream: LayerStream) throws -> [ChunkRef] {
        try streams[stream, default: []].enumerated().map { slot, ref in
            guard let ref else {
                throw CacheError(.corrupt, "slot \(slot) of a layer's \(stream) stream was never filled")
            }
            return ref
        }
    }
}
