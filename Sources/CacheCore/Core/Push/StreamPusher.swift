internal import CacheBase
internal import CacheChunks

/// Seals chunks on the threads of the pool, one chunk a thread, and brings them to L3 without a thread; bounded by a
/// permit a chunk, over all streams of a push.
struct StreamPusher: Sendable {
    let writer: ChunkWriter
    let limit: AsyncLimiter
    /// The most chunks of one stream that are under way.
    let chunksInFlight: Int
    let progress: PushProgress

    /// Brings all chunks of a source to L3.
    ///
    /// - Parameter taken: called for each chunk when it is sealed.
    /// - Throws: what the source throws; ``CacheError`` of the store. After it returned, all chunks are durable.
    func push(
        _ source: some PlainChunkSource, taken: @escaping @Sendable (SealedChunk) -> Void = { _ in }
    ) async throws -> (LayerSlots, PushCounts) {
        var slots = LayerSlots()
        var counts = PushCounts()
        // Half of a name does for a sum that people read, and keeps the bound of memory: 16 bytes a chunk at most.
        var seen: Set<UInt64> = []
        func take(_ placed: PlacedChunk) {
            slots.place(placed)
            counts.add(placed.outcome, isFirst: seen.insert(placed.outcome.ref.id.hashWord).inserted)
        }
        try await withThrowingTaskGroup(of: PlacedChunk?.self) { group in
            var underWay = 0
            var hasEnded = false
            func takeNext() async throws {
                guard let done = try await group.next() else { return }
                underWay -= 1
                if let placed = done { take(placed) } else { hasEnded = true }
            }
            while !hasEnded {
                try await limit.acquire()
                underWay += 1
                group.addTask {
                    defer { limit.release() }
                    guard let sealed = try await writer.sealNext(of: source) else { return nil }
                    taken(sealed)
                    let (stream, slot) = (sealed.stream, sealed.slot)
                    let outcome = try await writer.write(sealed)
                    if outcome.isNew { progress.add(uploaded: Int(outcome.ref.sealedLength)) }
                    return PlacedChunk(stream: stream, slot: slot, outcome: outcome)
                }
                // What is done is collected at once, so that the group never holds more than what is under way.
                while underWay >= chunksInFlight { try await takeNext() }
            }
            while underWay > 0 { try await takeNext() }
        }
        return (slots, counts)
    }
}

extension PushCounts {
    /// What is to be said of chunks that were not looked at, since L3 is known to have them.
    init(known refs: [ChunkRef]) {
        chunks = refs.count
        zeroChunks = refs.count(where: \.isZero)
        storedBytes = Set(refs).reduce(0) { $0 + Int($1.sealedLength) }
    }

    /// - Parameter isFirst: whether the chunk was not counted before.
    fileprivate mutating func add(_ outcome: ChunkWriter.Outcome, isFirst: Bool) {
        chunks += 1
        if outcome.ref.isZero { zeroChunks += 1 }
        if isFirst { storedBytes += Int(outcome.ref.sealedLength) }
        guard outcome.isNew else { return }
        newChunks += 1
        newBytes += Int(outcome.ref.plainLength)
        uploadedBytes += Int(outcome.ref.sealedLength)
    }
}
