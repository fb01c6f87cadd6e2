internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
internal import CacheImages
internal import CacheLayers
internal import CacheManifests
internal import CacheObjectStore
internal import NIOCore
internal import NIOPosix

/// Brings one layer into L3: read, split, seal, store, and its manifest last.
struct LayerPusher: Sendable {
    let store: any ObjectStore
    let generation: ActiveGeneration
    let tenant: TenantKeys
    let options: PushOptions
    let stream: StreamPusher
    let pool: NIOThreadPool
    let buffers: BufferPool
    let progress: PushProgress

    struct Pushed: Sendable {
        let id: ManifestID
        let manifest: LayerManifest
        let report: LayerPushReport

        /// What decided its chunks.
        var identity: LayerIndex.Layer {
            LayerIndex.Layer(
                kind: manifest.kind, packingVersion: manifest.packingVersion, codecPolicy: manifest.codecPolicy,
                diffID: manifest.diffID)
        }
    }

    /// - Throws: ``CacheError``: of the source (`.invalidInput`, `.limitExceeded`, `.corrupt` if it is not the layer
    ///   that the image's configuration promises) or of the store.
    func push(_ source: LayerSource) async throws -> Pushed {
        if !options.repair, let diffID = source.diffID, let known = try await known(source, diffID) { return known }
        let splitter = try await pool.runCancellable { [options, buffers] in
            SplitterHandle(
                LayerSplitter(
                    LayerReading(try source.openToCompare()), kind: source.kind, limits: options.limits.layer,
                    buffers: buffers))
        }
        let (slots, counts): (LayerSlots, PushCounts)
        do {
            (slots, counts) = try await stream.push(splitter) { [progress] chunk in
                if chunk.stream == .data { progress.add(read: Int(chunk.ref.plainLength)) }
            }
        } catch let failure as LayerReading.Failure {
            throw failure.error
        } catch let error as CacheError where [.invalidInput, .limitExceeded].contains(error.code) {
            // Of the splitter, which knows no file.
            throw CacheError(error.code, "\(source.name): \(error.message)", cause: error.cause)
        }
        let summary = splitter.summary
        if let promised = source.diffID, promised != summary.diffID {
            throw CacheError(
                .corrupt,
                "\(source.name) has diffID sha256:\(summary.diffID), but the image promises"
                    + " sha256:\(promised): fetch the image again")
        }
        return try await record(source, summary, slots, counts)
    }

    private var index: LayerIndex { LayerIndex(store, generation: generation.generation, keys: tenant) }

    private func identity(of source: LayerSource, _ diffID: SHA256Digest) -> LayerIndex.Layer {
        LayerIndex.Layer(
            kind: source.kind, packingVersion: RegionPlacer.version, codecPolicy: options.compression.policy,
            diffID: diffID)
    }

    /// The manifest that L3 has of a layer for this tenant, as far as it can be read; otherwise the name that must give
    /// way to a new one.
    private func find(
        _ layer: LayerIndex.Layer
    ) async throws -> (usable: (id: ManifestID, manifest: LayerManifest)?, stale: ManifestID?, isNewer: Bool) {
        let found: ManifestID?
        do { found = try await index.find(layer) } catch let error as CacheError where error.code == .corrupt {
            // The index object itself is damaged: recording the layer replaces it.
            return (nil, nil, false)
        }
        guard let id = found else { return (nil, nil, false) }
        do {
            let manifest = try await LayerManifest.load(
                id, from: store, generation: generation.generation, keys: tenant)
            guard manifest.diffID == layer.diffID, manifest.kind == layer.kind else { return (nil, id, false) }
            return ((id, manifest), nil, false)
        } catch let error as CacheError where [.corrupt, .missing, .key, .unsupported].contains(error.code) {
            // The index names a manifest that is gone, damaged, sealed for another tenant or of another version: it is
            // of no use here.
            return (nil, id, error.code == .unsupported)
        }
    }

    /// What is to be reported of a layer that need not be converted; `nil` if it must be.
    private func known(_ source: LayerSource, _ diffID: SHA256Digest) async throws -> Pushed? {
        guard let (id, manifest) = try await find(identity(of: source, diffID)).usable else { return nil }
        var report = LayerPushReport(name: source.name, diffID: diffID, logicalBytes: Int(clamping: manifest.byteCount))
        report.counts = PushCounts(known: manifest.allRefs)
        report.wasKnown = true
        progress.add(read: report.logicalBytes)
        return Pushed(id: id, manifest: manifest, report: report)
    }

    /// Everything that the manifest names is durable now; then the manifest, then the name by which the next push finds
    /// it.
    private func record(
        _ source: LayerSource, _ summary: LayerSummary, _ slots: LayerSlots, _ counts: PushCounts
    ) async throws -> Pushed {
        let layer = identity(of: source, summary.diffID)
        let manifest = LayerManifest(
            kind: layer.kind, generation: generation.generation, packingVersion: layer.packingVersion,
            codecPolicy: layer.codecPolicy, diffID: summary.diffID, byteCount: summary.byteCount,
            entryCount: UInt64(summary.entryCount), data: try slots.refs(.data), skeleton: try slots.refs(.skeleton),
            entries: try slots.refs(.entries))
        let (usable, stale, isNewer) = try await find(layer)
        let id: ManifestID
        if let usable, usable.manifest.hasSameChunks(as: manifest) {
            id = usable.id
        } else {
            // Another version of zstd makes other chunks of the same layer. Those of this push are known to be good.
            let (own, sealed) = try manifest.seal(with: tenant)
            _ = try await store.putIfAbsent(L3Layout.manifest(own, in: generation.generation), sealed)
            // What a newer version has made stays what the index names.
            id = isNewer ? own : try await index.record(layer, as: own, replacing: usable?.id ?? stale)
        }
        var report = LayerPushReport(
            name: source.name, diffID: summary.diffID, logicalBytes: Int(summary.byteCount))
        report.counts = counts
        return Pushed(id: id, manifest: manifest, report: report)
    }
}

extension LayerManifest {
    fileprivate func hasSameChunks(as other: LayerManifest) -> Bool {
        data == other.data && skeleton == other.skeleton && entries == other.entries
    }
}
