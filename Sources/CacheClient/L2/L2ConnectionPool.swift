internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The connections to one L2 daemon: kept alive, opened as they are needed, bounded in number.
///
/// Why not an HTTP client library: on the way of a chunk one costs about a tenth of what all of a pull does, and leaves
/// each answer in a buffer of its own. The protocol is swift-nio's; TLS is one more handler in ``connect()``.
final class L2ConnectionPool: Sendable {
    private struct State {
        /// The last one used is used next.
        var idle: [any Channel] = []
        var open: [ObjectIdentifier: any Channel] = [:]
        var isClosed = false
    }

    /// What a connection is used for. Each use has connections of its own, so that fills do not delay reads.
    enum Purpose {
        case read
        case fill
    }

    let address: L2Address
    private let reads: AsyncLimiter
    private let fills: AsyncLimiter
    private let deadlines: Deadlines
    private let connectTimeout: TimeAmount
    private let buffers: BufferPool
    private let eventLoop: any EventLoop
    /// Requests that wait for the fills of other workers, and keep their connections meanwhile.
    let lines = L2Lines()
    private let state = NIOLockedValueBox(State())
    /// Bytes of one read from a socket: most chunks come in one or two.
    private static let readBytes = 128 * 1024

    /// - Parameter maximum: connections for reads, and as many for fills.
    init(
        _ address: L2Address, maximum: Int, connectTimeout: TimeAmount, deadlines: Deadlines, buffers: BufferPool,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.address = address
        reads = AsyncLimiter("reads of L2", capacity: maximum, maximumWaiters: .max)
        fills = AsyncLimiter("fills of L2", capacity: maximum, maximumWaiters: .max)
        self.connectTimeout = connectTimeout
        self.deadlines = deadlines
        self.buffers = buffers
        eventLoop = group.next()
    }

    /// Sends a request and waits for all of its answer, no longer than `duration`, time in line and for a new
    /// connection included.
    ///
    /// The caller gives the body back to the pool of buffers, if it can.
    /// - Throws: ``L2Failure``, `.timedOut`, errors of the network and of HTTP; `CancellationError`.
    func exchange(_ request: L2Request, for purpose: Purpose, within duration: Duration) async throws -> L2Response {
        let limit = purpose == .read ? reads : fills
        let began = deadlines.time.now()
        var heldUp = Duration.zero
        if !limit.acquireNow() {
            let latest = began + duration + (request.line?.longest ?? .zero)
            while try await !limit.acquire(goesFirst: request.isUrgent, within: duration, deadlines) {
                guard lines.isUsed, deadlines.time.now() < latest else { throw L2Failure.late }
            }
            // While others were in line, the daemon was not to blame.
            heldUp = max(lines.lastUse(now: deadlines.time.now()) - began, .zero)
        }
        defer { limit.release() }
        request.line?.line.sent(at: deadlines.time.now(), heldUp: heldUp)
        // A connection that must be made first has a timeout of its own within `duration`.
        return try await exchange(request, until: began + heldUp + duration, duration)
    }

    /// - Parameter duration: that an answer may take once the time in line is over.
    private func exchange(
        _ request: L2Request, until end: Duration, _ duration: Duration
    ) async throws -> L2Response {
        if let channel = takeIdle() {
            do { return try await exchange(request, on: channel, until: end, duration) } catch L2Failure
                .closedUnanswered
            {}
        }
        return try await exchange(request, on: try await connect(), until: end, duration)
    }

    private func exchange(
        _ request: L2Request, on channel: any Channel, until end: Duration, _ duration: Duration
    ) async throws -> L2Response {
        let answer = channel.eventLoop.makePromise(of: L2Response.self)
        // What comes second to a promise is ignored.
        let giveUp: @Sendable (any Error) -> Void = { error in
            answer.fail(error)
            channel.close(promise: nil)
        }
        let watch = L2Watch(request.line, lines, deadlines, end: end) { giveUp(L2Failure.late) }
        defer { watch.end() }
        let exchange = L2Exchange(request: request, host: address.authority, answer: answer) {
            watch.isInLine(duration)
        }
        return try await withTaskCancellationHandler {
            // A write that fails is an exchange without an answer.
            channel.writeAndFlush(exchange).whenFailure { error in
                answer.fail(L2Failure.isEndOfConnection(error) ? L2Failure.closedUnanswered : error)
            }
            let response = try await answer.futureResult.get()
            if response.head.isKeepAlive { giveBack(channel) }
            return response
        } onCancel: {
            giveUp(CancellationError())
        }
    }

    private func takeIdle() -> (any Channel)? {
        state.withLockedValue { state in
            while let channel = state.idle.popLast() {
                if channel.isActive { return channel }
            }
            return nil
        }
    }

    private func giveBack(_ channel: any Channel) {
        let isClosed = state.withLockedValue { state in
            if !state.isClosed { state.idle.append(channel) }
            return state.isClosed
        }
        if isClosed { channel.close(promise: nil) }
    }

    private func connect() async throws -> any Channel {
        let channel = try await ClientBootstrap(group: eventLoop)
            .connectTimeout(connectTimeout)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.readBytes))
            .channelInitializer { [buffers] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    // As `addHTTPClientHandlers`, but what announces an answer is heard of.
                    try pipeline.addHandlers(
                        HTTPRequestEncoder(),
                        ByteToMessageHandler(HTTPResponseDecoder(informationalResponseStrategy: .forward)),
                        NIOHTTPRequestHeadersValidator(), L2ExchangeHandler(buffers: buffers))
                }
            }
            .connect(host: address.host, port: address.port).get()
        let isClosed = state.withLockedValue { state in
            state.open[ObjectIdentifier(channel)] = channel
            return state.isClosed
        }
        channel.closeFuture.whenComplete { [state] _ in
            state.withLockedValue { state in
                state.open[ObjectIdentifier(channel)] = nil
                state.idle.removeAll { $0 === channel }
            }
        }
        if isClosed {
            channel.close(promise: nil)
            throw L2Failure.closed
        }
        return channel
    }

    /// Closes all connections; exchanges that are under way fail.
    func close() async {
        let open = state.withLockedValue { state in
            state.isClosed = true
            state.idle = []
            return Array(state.open.values)
        }
        for channel in open {
            channel.close(promise: nil)
            try? await channel.closeFuture.get()
        }
    }
}
