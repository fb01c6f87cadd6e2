internal import CacheBase
internal import CacheFiles
internal import CacheStore
public import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
public import ServiceLifecycle

/// The L2 daemon: a chunk store behind HTTP, as a service.
///
/// `run` opens the store, listens, and serves until the surrounding `ServiceGroup` shuts down gracefully; then it stops
/// accepting, lets requests under way finish (at most ``ServerLimits/drainTime``), closes the store and returns.
/// Cancelling its task does the same without waiting for requests under way. It owns its threads and its store
/// directory; several servers can run in one process.
public struct CacheServer: Service {
    /// What the daemon was made with.
    public let configuration: ServerConfiguration
    let logger: Logger
    let live: LiveConfiguration
    private let time: ServerTime
    /// How many lines of the log were dropped because they were not read in time, for `/metrics`.
    public var droppedLogLines: @Sendable () -> Int = { 0 }
    let onReady: @Sendable (_ port: Int) async -> Void

    /// - Parameters:
    ///   - onReady: called once requests are served, with the port that was bound.
    public init(
        configuration: ServerConfiguration, logger: Logger,
        onReady: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        self.init(configuration: configuration, time: .system, logger: logger, onReady: onReady)
    }

    /// - Parameter time: what deadlines go by.
    package init(
        configuration: ServerConfiguration, time: ServerTime, logger: Logger,
        onReady: @escaping @Sendable (_ port: Int) async -> Void
    ) {
        self.configuration = configuration
        live = LiveConfiguration(configuration)
        self.time = time
        self.logger = logger
        self.onReady = onReady
    }

    /// Has the daemon go on with another configuration, as far as that may change under way; the rest is left as it is.
    /// Before `run` and after it, nothing happens but that.
    ///
    /// - Throws: ``CacheError`` if the configuration makes no sense: then nothing changes.
    public func reload(_ configuration: ServerConfiguration) throws -> ServerConfiguration.Changes {
        try configuration.validate()
        return live.take(configuration)
    }

    /// - Throws: ``CacheError`` if the configuration makes no sense, the store cannot be opened, or the address cannot
    ///   be bound.
    public func run() async throws {
        try configuration.validate()
        Allocator.limitArenas()
        PieceMemory.keepIdle(areas: 8)
        var limits = configuration.limits
        limits.connections = FileDescriptors.provide(for: limits, logger: logger)
        limits.leaveConnectionsToFillers()
        let threads = NIOThreadPool(numberOfThreads: configuration.storeThreads)
        threads.start()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.eventLoopThreads)
        let outcome: Result<Void, any Error>
        do {
            outcome = .success(try await serve(on: group, threads, limits))
        } catch {
            outcome = .failure(error)
        }
        try await threads.shutdownGracefully()
        try await group.shutdownGracefully()
        try outcome.get()
    }

    private static func storeOptions(_ configuration: ServerConfiguration) -> ChunkStore.Options {
        var options = ChunkStore.Options(
            capacity: configuration.capacity, writeQueueBytes: configuration.limits.bytesInFlight)
        // Of the 100 MiB that a daemon may have besides its chunks; the index of 10 GiB is as large as those.
        options.mappedBytes = 8 << 20
        return options
    }

    private func serve(
        on group: MultiThreadedEventLoopGroup, _ threads: NIOThreadPool, _ limits: ServerLimits
    ) async throws {
        // What an operator got wrong is told before the store is touched.
        let (address, access) = try await threads.runIfActive { [self] in
            (try listeningAddress(), try ServerAccess(configuration.security, logger: logger))
        }
        defer { access.close() }
        let store = try await threads.runIfActive { [configuration, logger] in
            try ChunkStore.open(
                configuration.storeDirectory,
                options: Self.storeOptions(configuration), logger: logger)
        }
        let tiers = ChunkTiers(
            memory: MemoryTier(capacity: configuration.memoryBytes), store: store, threads: threads)
        let reports = DamageReports(tiers, threads: threads)
        let scrubber = try await threads.runIfActive { [configuration, logger, now = time.now()] in
            Scrubber(
                tiers, directory: configuration.storeDirectory, rate: configuration.scrubBytesPerSecond, from: now,
                logger: logger)
        }
        let state = ServerState()
        let metrics = MetricsRegistry()
        let leases = LeaseBook(LeaseTable(limits: limits))
        let inspector = ServerInspector(
            live: live, state: state, access: access, tiers: tiers, leases: leases, metrics: metrics,
            repair: ServerInspector.Repair(reports: reports, scrubber: scrubber), time: time,
            droppedLogLines: droppedLogLines)
        let control = ControlPlane(inspector, logger: logger)
        let services = ConnectionGroup.Services(
            limits: limits, tiers: tiers, reports: reports, scrubber: scrubber, leases: leases, control: control,
            state: state, access: access, time: time, logger: logger)
        let groups = try await connectionGroups(on: group, services)
        for group in groups { metrics.register { try await group.snapshot() } }
        live.subscribe { [logger] configuration in
            var limits = configuration.limits
            limits.connections = FileDescriptors.provide(for: limits, logger: logger)
            leases.withLockedValue { [limits] in $0.limits = limits }
            for group in groups { group.eventLoop.execute { [limits] in group.value.limitsChanged(limits) } }
        }
        defer { live.subscribe { _ in } }
        do {
            try await listen(at: address, on: group, groups, state, access)
        } catch {
            try await close(store, scrubber, groups)
            throw error
        }
        try await close(store, scrubber, groups)
    }

    /// Makes a connection group for each event loop, makes them known to one another, and has them sweep.
    private func connectionGroups(
        on group: MultiThreadedEventLoopGroup, _ services: ConnectionGroup.Services
    ) async throws -> [NIOLoopBound<ConnectionGroup>] {
        var all: [ConnectionGroup.Neighbour] = []
        for eventLoop in group.makeIterator() {
            all.append(
                try await eventLoop.submit { [share = configuration.eventLoopThreads] in
                    let group = ConnectionGroup(on: eventLoop, share: share, services: services)
                    return ConnectionGroup.Neighbour(
                        group: NIOLoopBound(group, eventLoop: eventLoop), evictable: group.neighbours.ownEvictable)
                }.get())
        }
        services.access.subscribe { [all] tokens in
            for one in all { one.group.eventLoop.execute { one.group.value.tokensChanged(tokens) } }
        }
        for (number, one) in all.enumerated() {
            let others = all.filter { $0.evictable !== one.evictable }
            try await one.group.eventLoop.submit { one.group.value.start(beside: others, isFirst: number == 0) }.get()
        }
        return all.map(\.group)
    }
}
