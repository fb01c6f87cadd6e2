internal import CacheBase
internal import CacheChunks
public import CacheImages
public import CacheManifests
public import CacheObjectStore
internal import NIOCore
internal import NIOPosix

/// Brings images into L3: the platform's trusted ingest. It needs the tenant's keys and the deployment key.
public struct ImagePusher: Sendable {
    private let store: any ObjectStore
    private let tenant: TenantKeys
    private let deployment: DeploymentKey
    private let options: PushOptions

    public init(
        store: any ObjectStore, tenant: TenantKeys, deployment: DeploymentKey, options: PushOptions = PushOptions()
    ) {
        self.store = store
        self.tenant = tenant
        self.deployment = deployment
        self.options = options
    }

    /// Converts what L3 does not know yet, stores it, and points `reference` at it.
    ///
    /// An image whose files no container runtime would unpack is refused, by the name of layer and entry. A layer that
    /// L3 has for this tenant (same diffID) is not converted again. Memory stays below 300 MiB whatever the size. When
    /// this returns, everything is durable; if it is killed at any moment, the same push finishes what is missing.
    /// - Throws: ``CacheError``.
    public func push(
        _ source: ImageSource, as reference: ImageReference, progress: PushProgress = PushProgress()
    ) async throws -> PushReport {
        let pool = NIOThreadPool(numberOfThreads: max(System.coreCount, 2) + 1)
        pool.start()
        do {
            let report = try await push(source, as: reference, progress: progress, pool: pool)
            try await pool.shutdownGracefully()
            return report
        } catch {
            try await pool.shutdownGracefully()
            throw error
        }
    }

    private func push(
        _ source: ImageSource, as reference: ImageReference, progress: PushProgress, pool: NIOThreadPool
    ) async throws -> PushReport {
        try await RefStore(store).refuseNewer(reference)
        let now = SystemClock.milliseconds()
        let generation = try await ActiveGeneration.find(
            in: store, deploymentKey: deployment, create: true, repair: options.repair, now: now)
        let buffers = BufferPool(bytes: ChunkLimits.plainBytes, maximumIdle: options.chunksInFlight)
        let stream = StreamPusher(
            writer: ChunkWriter(
                store: store, generation: generation, options: options, pool: pool, buffers: buffers,
                deadlines: Deadlines()),
            limit: AsyncLimiter("chunks", capacity: options.chunksInFlight, maximumWaiters: .max),
            chunksInFlight: options.chunksInFlight, progress: progress)
        let layers = try await pushLayers(
            source.layers,
            LayerPusher(
                store: store, generation: generation, tenant: tenant, options: options, stream: stream, pool: pool,
                buffers: buffers, progress: progress))
        let index = try await pushIndex(
            of: layers, whiteouts: source.origin.hasWhiteouts,
            IndexPusher(
                store: store, generation: generation, tenant: tenant, options: options, stream: stream, pool: pool,
                buffers: buffers))
        let manifest = ImageManifest(
            source: source.origin, generation: generation.generation,
            layers: layers.map { pushed in
                ImageManifest.Layer(
                    manifest: pushed.id, diffID: pushed.report.diffID,
                    byteCount: UInt64(pushed.report.logicalBytes), sharedBytes: UInt64(pushed.report.sharedBytes),
                    name: pushed.report.name)
            },
            configuration: source.configuration ?? ByteBuffer(), annotations: [], index: index?.report?.manifest)
        let (id, sealed) = try manifest.seal(with: tenant)
        _ = try await store.putIfAbsent(L3Layout.manifest(id, in: generation.generation), sealed)
        let previous = try await previousKey(of: reference)
        try await RefStore(store).set(
            reference, to: RefRecord(generation: generation.generation, manifest: id, setAt: now))
        var report = PushReport(reference: reference, manifest: id, layers: layers.map(\.report))
        report.index = index?.report
        report.notes += index?.notes(on: reference) ?? []
        if let repair = generation.repair { report.notes.append(repair.note(on: generation.generation)) }
        if let previous, previous != tenant.id {
            report.notes.append(
                "\(reference) was sealed with another key of tenant \(reference.tenant), \(previous), and is now with"
                    + " \(tenant.id): who has only the other key cannot read it any more")
        }
        return report
    }

    /// Which key opens what the reference names until now. Only for a note, so what cannot be read tells nothing:
    /// pushing is the way out of it.
    private func previousKey(of reference: ImageReference) async throws -> KeyID? {
        do {
            guard let record = try await RefStore(store).read(reference) else { return nil }
            let object = L3Layout.manifest(record.manifest, in: record.generation)
            return try await store.get(object, range: 0..<ManifestHeader.fixedBytes).flatMap(ManifestHeader.tenantKeyID)
        } catch let error as CacheError where [.corrupt, .unsupported, .limitExceeded].contains(error.code) {
            return nil
        }
    }

    private func pushLayers(
        _ sources: [LayerSource], _ pusher: LayerPusher
    ) async throws -> [LayerPusher.Pushed] {
        try await withThrowingTaskGroup(of: (Int, LayerPusher.Pushed).self) { group in
            var pushed: [Int: LayerPusher.Pushed] = [:]
            for (index, source) in sources.enumerated() {
                if index >= options.layersInFlight, let done = try await group.next() { pushed[done.0] = done.1 }
                group.addTask { (index, try await pusher.push(source)) }
            }
            for try await done in group { pushed[done.0] = done.1 }
            return sources.indices.compactMap { pushed[$0] }
        }
    }

    /// Makes sure that the layers make a tree, and describes that as a device; `nil` for raw files.
    private func pushIndex(
        of layers: [LayerPusher.Pushed], whiteouts: Bool, _ pusher: IndexPusher
    ) async throws -> IndexPusher.Outcome? {
        let check = TreeCheck(
            store: store, deadlines: Deadlines(), deadline: options.storeDeadline, pool: pusher.pool)
        guard let tree = try await check.check(layers, whiteouts: whiteouts) else { return nil }
        return try await pusher.push(tree, of: layers, whiteouts: whiteouts)
    }
}
