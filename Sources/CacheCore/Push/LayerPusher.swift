internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Brings one layer into L3: read, split, seal, store, and its manifest last.
struct LayerPusher: Sendable {
    let store: any ObjectStore
    let generation: ActiveGeneration
    let tenant: TenantKeys
    let options: PushOptions
    let writer: ChunkWriter
    let limit: AsyncLimiter
    let pool: NIOThreadPool
    let progress: PushProgress

    struct Pushed: Sendable {
        let manifest: ManifestID
        let report: LayerPushReport
    }

    /// - Throws: ``CacheError``: of the source (`.invalidInput`, `.limitExceeded`, `.corrupt` if it is not the layer that the image's
    ///   configuration promises) or of the store.
    func push(_ source: LayerSource) async throws -> Pushed {
        if let diffID = source.diffID, let known = try await find(source, diffID) { return known }
        let splitter = try await pool.runIfActive { [options] in
            SplitterHandle(
                LayerSplitter(try source.open(), kind: source.kind, limits: options.layerLimits))
        }
        let (slots, counts) = try await writeChunks(of: splitter)
        let summary = splitter.summary
        if let promised = source.diffID, promised != summary.diffID {
            throw CacheError(
                .corrupt,
                "layer \(source.name) has diffID sha256:\(summary.diffID), but the image promises sha256:\(promised)")
        }
        return try await record(source, summary, slots, counts)
    }

    private var index: LayerIndex {
        LayerIndex(store, generation: generation.generation, keys: tenant, repairing: options.repair)
    }

    private func identity(of source: LayerSource, _ diffID: SHA256Digest) -> LayerIndex.Layer {
        LayerIndex.Layer(
            kind: source.kind, packingVersion: RegionPlacer.version, codecPolicy: options.compression.policy,
            diffID: diffID)
    }

    /// The layer as L3 has it for this tenant, or `nil` if it must be converted.
    private func find(_ source: LayerSource, _ diffID: SHA256Digest) async throws -> Pushed? {
        guard !options.repair else { return nil }
        guard let id = try await index.find(identity(of: source, diffID)) else { return nil }
        let manifest: LayerManifest
        do {
            manifest = try await LayerManifest.load(id, from: store, generation: generation.generation, keys: tenant)
        } catch let error as CacheError where [.corrupt, .missing].contains(error.code) {
            // What cannot be read is made again, and the index names the new one.
            return nil
        }
        var report = LayerPushReport(
            name: source.name, diffID: diffID, logicalBytes: Int(manifest.byteCount))
        for ref in manifest.allRefs {
            report.chunks += 1
            if ref.isZero { report.zeroChunks += 1 }
        }
        report.storedBytes = manifest.storedBytes
        report.wasKnown = true
        progress.add(read: report.logicalBytes)
        return Pushed(manifest: id, report: report)
    }

    /// Splits on one thread of the pool, seals on the others, stores without a thread; bounded by `limit`.
    private func writeChunks(of splitter: SplitterHandle) async throws -> (LayerSlots, LayerPushReport) {
        var slots = LayerSlots()
        var report = LayerPushReport(name: "", diffID: .zero, logicalBytes: 0)
        var seen: Set<ChunkID> = []
        func take(_ placed: PlacedChunk) {
            slots.place(placed)
            report.chunks += 1
            if placed.outcome.ref.isZero { report.zeroChunks += 1 }
            if seen.insert(placed.outcome.ref.id).inserted {
                report.storedBytes += Int(placed.outcome.ref.sealedLength)
            }
            if placed.outcome.isNew {
                report.newChunks += 1
                report.newBytes += Int(placed.outcome.ref.plainLength)
                report.uploadedBytes += Int(placed.outcome.ref.sealedLength)
            }
        }
        try await withThrowingTaskGroup(of: PlacedChunk.self) { group in
            var underWay = 0
            while true {
                try await limit.acquire()
                let next: PlainChunk?
                do {
                    next = try await pool.runIfActive { try splitter.next() }
                } catch {
                    limit.release()
                    throw error
                }
                guard let chunk = next else {
                    limit.release()
                    break
                }
                if chunk.stream == .data { progress.add(read: chunk.bytes.readableBytes) }
                underWay += 1
                group.addTask {
                    defer { limit.release() }
                    let outcome = try await writer.write(chunk.bytes)
                    if outcome.isNew { progress.add(uploaded: Int(outcome.ref.sealedLength)) }
                    return PlacedChunk(stream: chunk.stream, slot: chunk.slot, outcome: outcome)
                }
                // What is done is collected at once, so that the group never holds more than what is under way.
                while underWay > options.chunksInFlight, let placed = try await group.next() {
                    underWay -= 1
                    take(placed)
                }
            }
            while let placed = try await group.next() { take(placed) }
        }
        return (slots, report)
    }

    /// Everything that the manifest names is durable now; then the manifest, then the name by which the next push finds it.
    private func record(
        _ source: LayerSource, _ summary: LayerSummary, _ slots: LayerSlots, _ counts: LayerPushReport
    ) async throws -> Pushed {
        let layer = identity(of: source, summary.diffID)
        let manifest = LayerManifest(
            kind: layer.kind, generation: generation.generation, packingVersion: layer.packingVersion,
            codecPolicy: layer.codecPolicy, diffID: summary.diffID, byteCount: summary.byteCount,
            entryCount: UInt64(summary.entryCount), data: try slots.refs(.data), skeleton: try slots.refs(.skeleton),
            entries: try slots.refs(.entries))
        let (own, sealed) = try manifest.seal(with: tenant)
        _ = try await store.putIfAbsent(L3Layout.manifest(own, in: generation.generation), sealed)
        // What the index names and cannot be read was converted again just now: it gives way.
        let stale = try await index.find(layer)
        let id = try await index.record(layer, as: own, replacing: stale)
        var report = counts
        report.name = source.name
        report.diffID = summary.diffID
        report.logicalBytes = Int(summary.byteCount)
        return Pushed(manifest: id, report: report)
    }
}

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
