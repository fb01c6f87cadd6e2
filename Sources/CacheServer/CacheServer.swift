internal import CacheBase
internal import CacheFiles
internal import CacheStore
public import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
public import ServiceLifecycle
internal import Synchronization

/// The L2 daemon: a chunk store behind HTTP, as a service.
///
/// `run` opens the store, listens, and serves until the surrounding `ServiceGroup` shuts down gracefully; then it stops accepting, lets
/// requests under way finish (at most ``ServerLimits/drainTime``), closes the store and returns. Cancelling its task does the
/// same without waiting for anyone. It owns its threads and its store directory; several servers can run in one process.
public struct CacheServer: Service {
    public let configuration: ServerConfiguration
    private let logger: Logger
    private let time: ServerTime
    /// How many lines of the log were dropped because nobody read them, for `/metrics`.
    public var droppedLogLines: @Sendable () -> Int = { 0 }
    private let onReady: @Sendable (_ port: Int) async -> Void

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
        self.time = time
        self.logger = logger
        self.onReady = onReady
    }

    /// - Throws: ``CacheError`` if the configuration makes no sense, the store cannot be opened, or the address cannot be bound.
    public func run() async throws {
        try configuration.validate()
        Allocator.limitArenas()
        var limits = configuration.limits
        limits.connections = FileDescriptors.provide(for: limits, logger: logger)
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

    private func serve(
        on group: MultiThreadedEventLoopGroup, _ threads: NIOThreadPool, _ limits: ServerLimits
    ) async throws {
        let store = try await threads.runIfActive { [configuration, logger] in
            try ChunkStore.open(
                configuration.storeDirectory,
                options: .init(
                    capacity: configuration.capacity, writeQueueBytes: configuration.limits.bytesInFlight),
                logger: logger)
        }
        let tiers = ChunkTiers(
            memory: MemoryTier(capacity: configuration.memoryBytes), store: store, threads: threads)
        let state = ServerState()
        let inspector = ServerInspector(
            configuration: configuration, state: state, tiers: tiers, time: time, droppedLogLines: droppedLogLines)
        let control = ControlPlane(inspector, logger: logger)
        var peers: [Peer] = []
        for eventLoop in group.makeIterator() {
            peers.append(
                try await eventLoop.submit { [configuration, time, logger] in
                    let lane = Lane(
                        on: eventLoop, share: configuration.eventLoopThreads, limits: limits, tiers: tiers,
                        control: control, state: state, time: time, logger: logger)
                    return Peer(lane: NIOLoopBound(lane, eventLoop: eventLoop), standby: lane.standby)
                }.get())
        }
        for peer in peers {
            let others = peers.filter { $0.standby !== peer.standby }
            try await peer.lane.eventLoop.submit {
                peer.lane.value.peers = others
                peer.lane.value.start()
            }.get()
        }
        let lanes = peers.map(\.lane)
        inspector.watch(lanes)
        do {
            try await listen(on: group, lanes, state)
        } catch {
            try await close(store, lanes)
            throw error
        }
        try await close(store, lanes)
    }
}

extension CacheServer {
    /// Binds the address, serves until told to stop, and sees the last connection off.
    private func listen(
        on group: MultiThreadedEventLoopGroup, _ lanes: [NIOLoopBound<Lane>], _ state: ServerState
    ) async throws {
        let host = configuration.host
        let address = host.contains(":") ? "[\(host)]:\(configuration.port)" : "\(host):\(configuration.port)"
        let channel: any Channel
        do {
            channel = try await bootstrap(on: group, lanes).bind(host: configuration.host, port: configuration.port)
                .get()
        } catch {
            throw CacheError(
                .io, "cannot listen on \(address): choose another address or stop who uses it", cause: error)
        }
        let port = channel.localAddress?.port ?? configuration.port
        state.isReady.store(true, ordering: .relaxed)
        logger.info("serving chunks", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
        await onReady(port)
        let end = await ending(of: channel)
        state.isReady.store(false, ordering: .relaxed)
        let time = end == .graceful ? configuration.limits.drainTime : .zero
        logger.info("stopping", metadata: ["connections": "\(state.openConnections.load(ordering: .relaxed))"])
        for drained in lanes.map({ lane in lane.eventLoop.flatSubmit { lane.value.drain(within: time) } }) {
            try await drained.get()
        }
        if end == .failed {
            throw CacheError(.io, "the socket that listens on \(address) failed: start the daemon again")
        }
    }

    private enum Ending: Sendable { case graceful, cancelled, failed }

    /// Waits for what ends the service; by the time it returns nothing is accepted any more.
    private func ending(of channel: any Channel) async -> Ending {
        await withTaskGroup(of: Ending.self) { group in
            group.addTask {
                do {
                    try await gracefulShutdown()
                    return .graceful
                } catch {
                    return .cancelled
                }
            }
            group.addTask {
                try? await channel.closeFuture.get()
                return .failed
            }
            let first = await group.next() ?? .failed
            channel.close(promise: nil)
            group.cancelAll()
            await group.waitForAll()
            return first
        }
    }

    private func bootstrap(on group: MultiThreadedEventLoopGroup, _ lanes: [NIOLoopBound<Lane>]) -> ServerBootstrap {
        let lanes = Dictionary(uniqueKeysWithValues: lanes.map { (ObjectIdentifier($0.eventLoop), $0) })
        var decoding = NIOHTTPDecoderLimitConfiguration()
        decoding.maxHeaderFieldSize = configuration.limits.headerBytes
        decoding.maxHeaderListSize = configuration.limits.headerBytes
        decoding.maxHeaderFieldCount = configuration.limits.headerFields
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // Writable means that the kernel has all: the bytes of a response count as in flight until then.
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 1, high: 1))
            // One read brings at most 64 KiB, and then the connection is asked whether it wants more.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { [decoding] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let lane = lanes[ObjectIdentifier(channel.eventLoop)]?.value else { throw ChannelError.eof }
                    // TLS, when it comes, is one more handler in front of these.
                    let connection = ConnectionHandler(lane: lane)
                    try channel.pipeline.syncOperations.addHandlers([
                        ArrivalHandler(connection),
                        ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: decoding)),
                        connection,
                    ])
                }
            }
    }

    /// Closes the store, which also ends what requests of connections that are gone still do there.
    private func close(_ store: ChunkStore, _ lanes: [NIOLoopBound<Lane>]) async throws {
        await store.close()
        let time = configuration.limits.drainTime
        for lane in lanes {
            try await lane.eventLoop.flatSubmit { lane.value.settle(within: time) }.get()
            try await lane.eventLoop.submit { lane.value.stop() }.get()
        }
    }
}
