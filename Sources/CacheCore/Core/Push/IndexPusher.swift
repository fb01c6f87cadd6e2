internal import CacheBase
internal import CacheErofs
internal import CacheLayers
internal import CacheManifests
internal import CacheObjectStore
internal import NIOCore
internal import NIOPosix

/// Brings the description of an image as a device into L3: the metadata's chunks first, then the index that names them.
struct IndexPusher: Sendable {
    let store: any ObjectStore
    let generation: ActiveGeneration
    let tenant: TenantKeys
    let options: PushOptions
    let stream: StreamPusher
    let pool: NIOThreadPool
    let buffers: BufferPool

    /// What became of it.
    enum Outcome: Sendable {
        /// With what the device has not of the image's files, a line each.
        case pushed(IndexPushReport, omissions: [String])
        /// No device shows these files; a line that says why.
        case impossible(String)

        var report: IndexPushReport? {
            if case .pushed(let report, _) = self { report } else { nil }
        }

        /// Remarks for the person who pushed.
        func notes(on reference: ImageReference) -> [String] {
            switch self {
            case .pushed(_, let omissions): omissions.map { "\(reference), when it is mounted: \($0)" }
            case .impossible(let reason): ["\(reference) cannot be mounted, only pulled: \(reason)"]
            }
        }
    }

    /// - Parameters:
    ///   - tree: of all layers; let go of it.
    ///   - layers: bottom first, all durable.
    /// - Throws: ``CacheError`` of the store.
    func push(
        _ tree: consuming ImageTree, of layers: [LayerPusher.Pushed], whiteouts: Bool
    ) async throws -> Outcome {
        let image = LayerIndex.Image(
            writerVersion: ErofsWriter.version, codecPolicy: options.compression.policy, hasWhiteouts: whiteouts,
            layers: layers.map(\.identity))
        let regionSlots = layers.map(\.manifest.data.count)
        let (usable, stale) = try await find(image, regionSlots)
        if !options.repair, let (id, index) = usable {
            let counts = PushCounts(known: index.metadata)
            let report = IndexPushReport(
                manifest: id, deviceBytes: index.deviceBytes, counts: counts, wasKnown: true)
            return .pushed(report, omissions: [])
        }
        let made: (chunks: MetadataChunks, index: ImageIndex, omissions: [String])
        do {
            made = try await pool.runIfActive { [tree, generation, buffers] in
                let writer = try ErofsWriter.describable(tree: tree, regionSlots: regionSlots)
                let index = ImageIndex(describing: writer, generation: generation.generation, metadata: [])
                return (MetadataChunks(writer, buffers: buffers), index, writer.omissions)
            }
        } catch let error as CacheError where [.limitExceeded, .unsupported, .invalidInput].contains(error.code) {
            return .impossible(error.message)
        }
        let (slots, counts) = try await stream.push(made.chunks)
        let index = made.index.with(metadata: try slots.refs(.data))
        let id = try await record(image, index, regionSlots, usable: usable, stale: stale)
        let report = IndexPushReport(manifest: id, deviceBytes: index.deviceBytes, counts: counts)
        return .pushed(report, omissions: made.omissions)
    }

    private var indexes: LayerIndex { LayerIndex(store, generation: generation.generation, keys: tenant) }

    /// The index that L3 has of these layers for this tenant, as far as it can be read; otherwise the name that must
    /// give way to a new one.
    private func find(
        _ image: LayerIndex.Image, _ regionSlots: [Int]
    ) async throws -> (usable: (id: ManifestID, index: ImageIndex)?, stale: ManifestID?) {
        let found: ManifestID?
        do { found = try await indexes.find(image) } catch let error as CacheError where error.code == .corrupt {
            // The record is damaged: recording the index anew replaces it.
            return (nil, nil)
        }
        guard let id = found else { return (nil, nil) }
        do {
            let index = try await ImageIndex.load(
                id, from: store, generation: generation.generation, keys: tenant, regionSlots: regionSlots)
            return ((id, index), nil)
        } catch let error as CacheError where [.corrupt, .missing, .key, .unsupported].contains(error.code) {
            return (nil, id)
        }
    }

    /// All chunks are durable now; then the index, then the name by which the next push finds it.
    private func record(
        _ image: LayerIndex.Image, _ index: ImageIndex, _ regionSlots: [Int],
        usable: (id: ManifestID, index: ImageIndex)?, stale: ManifestID?
    ) async throws -> ManifestID {
        if let usable, usable.index == index { return usable.id }
        let (id, sealed) = try index.seal(with: tenant, regionSlots: regionSlots)
        _ = try await store.putIfAbsent(L3Layout.manifest(id, in: generation.generation), sealed)
        return try await indexes.record(image, as: id, replacing: usable?.id ?? stale)
    }
}

extension MetadataChunks: PlainChunkSource {
    func next() -> PlainChunk? {
        next().map { (number: Int, bytes: ByteBuffer) in PlainChunk(stream: .data, slot: number, bytes: bytes) }
    }
}
