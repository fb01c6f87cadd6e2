public import CacheCore
public import Logging
internal import NIOCore
internal import NIOPosix

/// A worker host's cache of image layers: memory, L1, L2 and L3 as one. What an agent embeds.
///
/// Open one a process and share it; it is safe to use from any task. Blocking work runs on threads that it owns.
///
///     let cache = try await LayerCache.open(
///         .init(l1Directory: "/var/lib/layercache", l2: ["http://l2:7070"], l3: store))
///     let image = try await cache.image(try ImageReference(parsing: "acme/python:3.12"), keyring: keyring)
///     for try await bytes in image.layers[0].bytes { ... }
///     try await cache.close()
public final class LayerCache: Sendable {
    let configuration: CacheConfiguration
    let reader: TieredReader
    private let l1: L1Tier?
    private let l2: L2Client?
    let refs: RememberedRefs?
    private let pool: NIOThreadPool
    let deadlines: Deadlines
    let logger: Logger
    /// What its devices have in common.
    let devices: DeviceShare
    let traces: TraceLibrary
    private let counter = ReadCounter(parent: nil)
    let localIndexes = LocalIndexes()

    private init(
        configuration: CacheConfiguration, reader: TieredReader, l1: L1Tier?, l2: L2Client?, refs: RememberedRefs?,
        pool: NIOThreadPool, deadlines: Deadlines, logger: Logger
    ) {
        self.refs = refs
        self.logger = logger
        self.configuration = configuration
        self.reader = reader
        self.l1 = l1
        self.l2 = l2
        self.pool = pool
        self.deadlines = deadlines
        devices = DeviceShare(configuration, reader)
        traces = TraceLibrary(configuration, l3: reader.l3.store, deadlines: deadlines, logger: logger)
    }

    /// Opens L1 (well under a second at any size; one that is damaged starts empty) and prepares the way to L2 and L3,
    /// which are not asked yet.
    ///
    /// Goes on without L1, with a line in the log, if that cannot be used within its deadline: a full, read-only or
    /// failing disk, no permission, a process that was stopped while it opened it. An open cache must be closed with
    /// ``close()``.
    /// - Throws: ``CacheError`` if L1's path is no directory's, this process has it open already (`.conflict`) or an
    ///   address makes no sense.
    public static func open(
        _ configuration: CacheConfiguration, logger: Logger = Logger(label: "layercache.client")
    ) async throws -> LayerCache {
        try await open(configuration, logger: logger, time: .system)
    }

    /// - Parameter time: what all deadlines go by.
    package static func open(
        _ configuration: CacheConfiguration, logger: Logger, time: TimeSource
    ) async throws -> LayerCache {
        try configuration.validate()
        let machine = MachineLoad(configuration.l2.isEmpty ? nil : RunQueue())
        let deadlines = Deadlines(time: time) { machine.look() }
        let load = ReadLoad(time: time, machine: machine)
        // Half of what fills hold; what is not kept here is memory for the next chunk, sealed or plain.
        let buffers = BufferPool(
            bytes: ChunkLimits.plainBytes, maximumIdle: max(configuration.fillBytes / 2 / ChunkLimits.plainBytes, 1),
            allocator: ChunkMemory.allocator)
        let l2 =
            configuration.l2.isEmpty
            ? nil
            : try L2Client(
                configuration.l2Settings, load: load, deadlines: deadlines, buffers: buffers, logger: logger)
        await l2?.start()
        let threads = max(configuration.threads ?? System.coreCount, 2)
        let pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
        do {
            var l1: L1Tier?
            if let directory = configuration.l1Directory {
                l1 = try await L1Tier.open(
                    directory, configuration.l1Settings, threads: threads, deadlines: deadlines, logger: logger)
            }
            let reader = TieredReader(
                memory: MemoryCache(capacity: configuration.memoryBytes), l1: l1, l2: l2, load: load,
                configuration: configuration, pool: pool, buffers: buffers, deadlines: deadlines, logger: logger)
            let refs = configuration.l1Directory.map { directory in
                RememberedRefs(
                    directory: directory, capacity: configuration.l1Capacity, l1: l1, deadlines: deadlines,
                    now: configuration.now, logger: logger)
            }
            return LayerCache(
                configuration: configuration, reader: reader, l1: l1, l2: l2, refs: refs, pool: pool,
                deadlines: deadlines, logger: logger)
        } catch {
            await l2?.close()
            try await pool.shutdownGracefully()
            throw error
        }
    }

    /// Opens an image: reads its ref and its manifests, and no chunk yet.
    ///
    /// What a ref names L3 says. While L3 is away, what this host saw last is used instead, if it has an L1 to remember
    /// it in: ``CachedImage/isReferenceChecked`` tells. Manifests come out of the nearest tier, like chunks.
    ///
    /// - Parameter keyring: holds the key of the ref's tenant.
    /// - Throws: `.missing` if there is no such ref, `.key` if the keyring has not the right key, `.corrupt` if an
    ///   object of L3 is damaged, `.overloaded` while so many reads wait for L3 that one more image would only make it
    ///   worse (``CacheError/retryAfter`` says when to come again); what L3 failed with (`.io`, `.timedOut`, `.missing`
    ///   for a store that is not there) if it is away and the host has not what it needs.
    public func image(_ reference: ImageReference, keyring: Keyring) async throws -> CachedImage {
        if reader.l3.isOverloaded {
            let wait = reader.l3.timeToRoom
            throw CacheError(
                .overloaded,
                "too many reads wait for L3: \(reference) is not opened now, try again in \(wait.components.seconds) s",
                retryAfter: wait)
        }
        let opener = ImageOpener(reader: reader, refs: refs)
        return try await opener.open(
            reference, try keyring.keys(for: reference.tenant), ReadCounter(parent: counter))
    }

    /// Opens the very image that an earlier ``CachedImage`` was, whatever its ref names by now: L3 is not asked for
    /// the ref, and may be away if the tiers above have the manifests.
    ///
    /// - Parameter pin: ``CachedImage/pin`` of that image.
    /// - Throws: as ``image(_:keyring:)``; `.missing` for a manifest that no tier has any more. Never `.overloaded`:
    ///   who opens an image again is using it.
    public func image(
        _ reference: ImageReference, pinned pin: ImagePin, keyring: Keyring
    ) async throws -> CachedImage {
        try await ImageOpener(reader: reader, refs: refs).open(
            reference, pinned: pin, try keyring.keys(for: reference.tenant), ReadCounter(parent: counter))
    }

    /// What all images of this cache were given so far, by tier.
    public var counts: ReadCounts { counter.counts }

    /// How long readers of this cache waited for chunks.
    package var readTimes: ReadTimes { counter.times }

    /// Decoded chunks that are in memory now, and their bytes.
    public var memoryUsage: (chunks: Int, bytes: Int) { reader.memoryUsage }

    /// Numbers of L1; `nil` without one.
    public var l1Statistics: ChunkStoreStatistics? { l1?.statistics }

    /// The daemons of L2, and what each was asked; `nil` without L2.
    public var l2Statistics: L2RingStatistics? { l2?.statistics }

    /// Calls of L3 so far, by operation.
    public var l3Statistics: ObjectStoreStatistics { reader.l3.store.statistics }

    /// Repairs of L1 as a whole: how often its index was found damaged and it started empty.
    public var l1Resets: Int { l1.map { Int(clamping: $0.statistics.resets) } ?? 0 }

    /// Waits until what was read has reached the upper tiers, as far as these take it.
    public func flush() async {
        await reader.drainFills()
        await refs?.drain()
    }

    /// Fills of L1 and L2 that were dropped so far, because these did not take them as fast as they came or not before
    /// the end.
    public var droppedFills: (l1: Int, l2: Int) { reader.droppedFills }

    /// Lets fills finish, closes L1 and all connections. Reads that are under way fail.
    ///
    /// Waits for L1 and L2 within their budgets, and drops the fills that they have not taken by then: all that was
    /// read was delivered. A task that was cancelled may close it as well, and waits as long.
    public func close() async throws {
        // In a task of its own, which nobody cancels.
        try await Task {
            await reader.endFills()
            await refs?.close()
            await l1?.close()
            await l2?.close()
            try await pool.shutdownGracefully()
        }.value
    }
}
