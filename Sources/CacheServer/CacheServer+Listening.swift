internal import CacheAccess
internal import CacheBase
internal import CacheStore
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import ServiceLifecycle
internal import Synchronization

/// From the address that is bound to the last connection that has ended.
extension CacheServer {
    /// The address to listen on, once names are looked up. Blocks.
    /// - Throws: ``CacheError`` if others than this machine reach it, and the daemon would let them do as they like.
    func listeningAddress() throws -> SocketAddress {
        let found: SocketAddress
        do {
            found = try SocketAddress.makeAddressResolvingHost(configuration.host, port: configuration.port)
        } catch {
            throw cannotListen(error)
        }
        let security = configuration.security
        let isSecure = security.tokensFile != nil && security.certificateFile != nil
        guard found.isLoopback || isSecure || security.isInsecureAllowed else {
            throw CacheError(
                .invalidInput,
                "\(address) can be reached from other machines: give --tls-cert, --tls-key and --tokens, or --insecure "
                    + "to let everybody read and fill this cache who reaches it")
        }
        return found
    }

    private var address: String {
        let host = configuration.host
        return host.contains(":") ? "[\(host)]:\(configuration.port)" : "\(host):\(configuration.port)"
    }

    private func cannotListen(_ cause: any Error) -> CacheError {
        CacheError(.io, "cannot listen on \(address): choose another address or stop who uses it", cause: cause)
    }

    /// Binds the address, serves until told to stop, and sees the last connection off.
    func listen(
        at found: SocketAddress, on group: MultiThreadedEventLoopGroup, _ groups: [NIOLoopBound<ConnectionGroup>],
        _ state: ServerState, _ access: ServerAccess
    ) async throws {
        let channel: any Channel
        do {
            channel = try await bootstrap(on: group, groups, access.identity, state).bind(to: found).get()
        } catch {
            throw cannotListen(error)
        }
        let port = channel.localAddress?.port ?? configuration.port
        state.isReady.store(true, ordering: .relaxed)
        logger.info("serving chunks", metadata: ["host": "\(configuration.host)", "port": "\(port)"])
        await onReady(port)
        let end = await ending(of: channel, state)
        state.isReady.store(false, ordering: .relaxed)
        let time = end == .graceful ? configuration.limits.timeouts.drain : .zero
        logger.info("stopping", metadata: ["connections": "\(state.openConnections.load(ordering: .relaxed))"])
        for stopped in groups.map({ group in group.eventLoop.flatSubmit { group.value.stop(within: time) } }) {
            try await stopped.get()
        }
        if end == .failed {
            throw CacheError(.io, "the socket that listens on \(address) failed: start the daemon again")
        }
    }

    private enum Ending: Sendable { case graceful, cancelled, failed }

    /// Waits for what ends the service, and for as long as it is to go on then; by the time it returns nothing is
    /// accepted any more.
    private func ending(of channel: any Channel, _ state: ServerState) async -> Ending {
        await withTaskGroup(of: Ending.self) { group in
            group.addTask {
                do {
                    try await gracefulShutdown()
                    state.isReady.store(false, ordering: .relaxed)
                    let delay = live.current.shutdownDelay
                    if delay > .zero { logger.info("stopping soon", metadata: ["delay": "\(delay)"]) }
                    try await Task.sleep(for: delay)
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

    private func bootstrap(
        on group: MultiThreadedEventLoopGroup, _ groups: [NIOLoopBound<ConnectionGroup>], _ identity: TLSIdentity?,
        _ state: ServerState
    ) -> ServerBootstrap {
        let groups = Dictionary(uniqueKeysWithValues: groups.map { (ObjectIdentifier($0.eventLoop), $0) })
        var decoding = NIOHTTPDecoderLimitConfiguration()
        decoding.maxHeaderFieldSize = configuration.limits.headerBytes
        decoding.maxHeaderListSize = configuration.limits.headerBytes
        decoding.maxHeaderFieldCount = configuration.limits.headerFields
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: AcceptPace.batch)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPace(state))
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // Writable means that the kernel has all: the bytes of a response count as in flight until then.
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 1, high: 1))
            // One read brings at most 64 KiB, and then the connection is asked whether it wants more.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelInitializer { [decoding] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let group = groups[ObjectIdentifier(channel.eventLoop)]?.value else {
                        throw ChannelError.eof
                    }
                    let tls = identity?.serverHandler()
                    if let tls {
                        try channel.pipeline.syncOperations.addHandlers([SocketWriter(), tls])
                        // TLS keeps a buffer for what one read brings, as it does for what it sends.
                        try channel.syncOptions?.setOption(
                            .recvAllocator,
                            value: AdaptiveRecvByteBufferAllocator(
                                minimum: 1024, initial: 2048, maximum: SecuredSending.readBytes))
                    }
                    let connection = ConnectionHandler(group, behind: tls)
                    try channel.pipeline.syncOperations.addHandlers([
                        ArrivalHandler(connection),
                        ByteToMessageHandler(HTTPRequestDecoder(limitConfiguration: decoding)),
                        connection,
                    ])
                }
            }
    }

    /// Closes the store, which also ends what requests of connections that are gone still do there.
    func close(_ store: ChunkStore, _ scrubber: Scrubber, _ groups: [NIOLoopBound<ConnectionGroup>]) async throws {
        await scrubber.stop()
        await store.close()
        let time = configuration.limits.timeouts.drain
        for group in groups {
            try await group.eventLoop.flatSubmit { group.value.settle(within: time) }.get()
            try await group.eventLoop.submit { group.value.end() }.get()
        }
    }
}

extension SocketAddress {
    /// Whether this machine alone can reach it.
    fileprivate var isLoopback: Bool {
        guard let address = ipAddress else { return false }
        return address.hasPrefix("127.") || address == "::1" || address.hasPrefix("::ffff:127.")
    }
}
