internal import CacheAccess
internal import CacheCore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// The connections to one L2 daemon: kept alive, opened as they are needed, bounded in number.
///
/// Why not an HTTP client library: on the way of a chunk one costs about a tenth of what all of a pull does, and leaves
/// each answer in a buffer of its own. The protocol is swift-nio's, TLS that of ``ClientAccess``.
final class L2ConnectionPool: Sendable {
    private struct State {
        /// The last one used is used next.
        var idle: [any Channel] = []
        var open: [ObjectIdentifier: any Channel] = [:]
        /// Those that have brought an answer.
        var proven: Set<ObjectIdentifier> = []
        /// How many for reads the daemon would have, if it has said so.
        var share = Int.max
        var lastAnswer = Duration.zero
        var isClosed = false
        /// What this host showed (``ClientAccess/changes``) when it got an answer last; `nil` before the first.
        var answered: Int?
    }

    /// A connection that was just made.
    private struct Made {
        let channel: any Channel
        /// What TLS said of it since, if it was a refusal.
        let refusal: NIOLockedValueBox<TLSRefusal?>
    }

    let address: L2Address
    private let access: ClientAccess?
    private let turns: L2Turns
    private let deadlines: Deadlines
    private let connectTimeout: TimeAmount
    private let stretch: @Sendable (Duration) -> Duration
    private let buffers: BufferPool
    private let eventLoop: any EventLoop
    /// Requests that wait for the fills of other workers, and keep their connections meanwhile.
    let lines = L2Lines()
    private let state = NIOLockedValueBox(State())
    /// Bytes of one read from a socket: most chunks come in one or two.
    private static let readBytes = 128 * 1024
    private static let shareField = "Layercache-Connections"

    /// - Parameters:
    ///   - access: what the daemon is shown; `nil` for nothing.
    ///   - maximum: connections for reads, and as many for fills.
    ///   - stretch: what a deadline is on a machine that is as busy as this one is now.
    init(
        _ address: L2Address, _ access: ClientAccess?, maximum: Int, connectTimeout: TimeAmount, deadlines: Deadlines,
        buffers: BufferPool, stretch: @escaping @Sendable (Duration) -> Duration = { $0 },
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.address = address
        self.access = access
        turns = L2Turns(maximum: maximum)
        self.connectTimeout = connectTimeout
        self.deadlines = deadlines
        self.buffers = buffers
        self.stretch = stretch
        eventLoop = group.next()
    }

    /// Sends a request and waits for all of its answer, no longer than `duration`, time in line and for a new
    /// connection included.
    ///
    /// The caller gives the body back to the pool of buffers, if it can.
    /// What the daemon refuses is asked once more if this host has something else to show by then.
    /// - Throws: ``L2Failure``, ``TLSRefusal``, ``L2Refusal``, `.timedOut`, errors of the network and of HTTP;
    ///   `CancellationError`.
    func exchange(
        _ request: L2Request, for purpose: L2Turns.Purpose, within duration: Duration
    ) async throws -> L2Response {
        let began = deadlines.time.now()
        let hasWaited = try await turns.enter(purpose, goesFirst: request.isUrgent, within: duration, deadlines) {
            let end = began + stretch(duration) + (lines.isUsed ? request.line?.longest ?? .zero : .zero)
            return deadlines.time.now() < end
        }
        defer { turns.leave(purpose) }
        // While others were in line, the daemon was not to blame.
        let heldUp = hasWaited ? max(lines.lastUse(now: deadlines.time.now()) - began, .zero) : .zero
        access?.refresh()
        let shown = access?.changes
        request.line?.line.sent(at: deadlines.time.now(), heldUp: heldUp)
        // A connection that must be made first has a timeout of its own within `duration`.
        let start = began + heldUp
        do { return try await checkedExchange(request, from: start, duration) } catch {
            guard error is TLSRefusal || error is L2Refusal, let access else { throw error }
            // The files may be on a disk that hangs, or this machine busy: what is in them by now was not refused then.
            let left = start + stretch(duration) - deadlines.time.now()
            let isLooked = (try? await deadlines.run(left, "the files for L2") { await access.look() }) != nil
            guard access.changes != shown else { throw isLooked ? error : L2Failure.unsure }
            return try await checkedExchange(request, from: start, duration)
        }
    }

    private func checkedExchange(
        _ request: L2Request, from start: Duration, _ duration: Duration
    ) async throws -> L2Response {
        let response = try await exchange(request, from: start, duration)
        if let refusal = L2Refusal(response.head.status, hasToken: access?.authorization != nil) { throw refusal }
        return response
    }

    /// - Parameter duration: that an answer may take from `start` on, and once the time in line is over.
    private func exchange(
        _ request: L2Request, from start: Duration, _ duration: Duration
    ) async throws -> L2Response {
        if let channel = takeIdle() {
            do { return try await exchange(request, on: channel, from: start, duration) } catch L2Failure
                .closedUnanswered
            {}
        }
        // One that is killed after a handshake looks like one that refuses this client; it is not there for the next.
        for _ in 0..<(address.isSecured ? 2 : 1) {
            let made = try await connect()
            do { return try await exchange(request, on: made.channel, from: start, duration) } catch L2Failure
                .closedUnanswered
            {
                if let refusal = made.refusal.withLockedValue({ $0 }) { throw refusal }
            }
        }
        // One that has answered what this host shows now has another reason, such as a lack of room.
        let isKnown = state.withLockedValue { $0.answered == access?.changes }
        throw address.isSecured && !isKnown ? L2Refusal.afterHandshake : L2Failure.closedUnanswered
    }

    private func exchange(
        _ request: L2Request, on channel: any Channel, from start: Duration, _ duration: Duration
    ) async throws -> L2Response {
        let answer = channel.eventLoop.makePromise(of: L2Response.self)
        // What comes second to a promise is ignored.
        let giveUp: @Sendable (any Error) -> Void = { error in
            answer.fail(error)
            channel.close(promise: nil)
        }
        let watch = L2Watch(request.line, lines, deadlines, from: start) { [stretch] in
            stretch(duration)
        } expire: {
            giveUp(L2Failure.late)
        }
        defer { watch.end() }
        let exchange = L2Exchange(
            request: request, host: address.authority, authorization: access?.authorization, answer: answer
        ) {
            watch.isInLine()
            self.answered(channel, $0)
        }
        return try await withTaskCancellationHandler {
            // A write that fails is an exchange without an answer.
            channel.writeAndFlush(exchange).whenFailure { error in
                answer.fail(L2Failure.isEndOfConnection(error) ? L2Failure.closedUnanswered : error)
            }
            let response = try await answer.futureResult.get()
            answered(channel, response.head)
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
        let shown = access?.changes
        let isClosed = state.withLockedValue { state in
            state.answered = shown
            let isSpare = state.isClosed || state.open.count > turns.most(state.share).both
            if !isSpare { state.idle.append(channel) }
            return isSpare
        }
        if isClosed { channel.close(promise: nil) }
    }

    /// A connection has brought an answer, or the announcement of one.
    private func answered(_ channel: any Channel, _ head: HTTPResponseHead) {
        let share = head.headers.first(name: Self.shareField).flatMap { Int($0) }.map { max($0, 1) }
        let (id, now) = (ObjectIdentifier(channel), deadlines.time.now())
        state.withLockedValue { state in
            state.lastAnswer = now
            let isNew = state.open[id] != nil && state.proven.insert(id).inserted
            if let share { state.share = share }
            if isNew || share != nil { fit(state) }
        }
    }

    /// When the daemon answered last, if it has no room for all connections that this worker could use; else `nil`.
    var lastAnswerOfRationed: Duration? {
        state.withLockedValue { $0.share < turns.maximum ? $0.lastAnswer : nil }
    }

    private func fit(_ state: State) { turns.fit(share: state.share, proven: state.proven.count) }

    /// Makes a connection, its handshake included, within the time for that.
    private func connect() async throws -> Made {
        let end = NIODeadline.now() + connectTimeout
        guard address.isSecured, let access else { return Made(channel: try await open(nil), refusal: .init(nil)) }
        let refusal = NIOLockedValueBox<TLSRefusal?>(nil)
        let ready = eventLoop.makePromise(of: Void.self)
        let handshake = access.handshake(ready) { error in refusal.withLockedValue { $0 = error } }
        do {
            let channel = try await open(handshake)
            let alarm = eventLoop.scheduleTask(deadline: end) {
                ready.fail(L2Failure.late)
                channel.close(promise: nil)
            }
            defer { alarm.cancel() }
            try await ready.futureResult.get()
            return Made(channel: channel, refusal: refusal)
        } catch {
            ready.fail(error)
            throw error
        }
    }

    /// - Parameter handshake: for a connection with TLS.
    private func open(_ handshake: ClientHandshake?) async throws -> any Channel {
        let channel = try await ClientBootstrap(group: eventLoop)
            .connectTimeout(connectTimeout)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.readBytes))
            .channelInitializer { [buffers, host = address.host] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    if let handshake { try pipeline.addHandlers(handshake.handlers(host: host)) }
                    // As `addHTTPClientHandlers`, but what announces an answer is heard of.
                    try pipeline.addHandlers(
                        HTTPRequestEncoder(),
                        ByteToMessageHandler(HTTPResponseDecoder(informationalResponseStrategy: .forward)),
                        NIOHTTPRequestHeadersValidator(), L2ExchangeHandler(buffers: buffers))
                }
            }
            .connect(host: address.endpoint, port: address.port).get()
        let isClosed = state.withLockedValue { state in
            state.open[ObjectIdentifier(channel)] = channel
            return state.isClosed
        }
        channel.closeFuture.whenComplete { [state, self] _ in
            state.withLockedValue { state in
                state.open[ObjectIdentifier(channel)] = nil
                if state.proven.remove(ObjectIdentifier(channel)) != nil { self.fit(state) }
                state.idle.removeAll { $0 === channel }
            }
        }
        if isClosed {
            channel.close(promise: nil)
            throw L2Failure.closed
        }
        return channel
    }

    /// Makes no more connections, and keeps none that is not in use: what is under way ends as it would.
    func retire() {
        let idle = state.withLockedValue { state in
            state.isClosed = true
            defer { state.idle = [] }
            return state.idle
        }
        for channel in idle { channel.close(promise: nil) }
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
