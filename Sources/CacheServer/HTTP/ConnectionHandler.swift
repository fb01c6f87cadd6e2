internal import CacheAccess
internal import CacheFiles
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// The channel handler of one HTTP/1 connection: tells ``ConnectionStateMachine`` what happens and carries out what it
/// decides.
///
/// A chunk that is in memory is answered without leaving the event loop and without a copy.
final class ConnectionHandler: ChannelDuplexHandler, NewcomerWork {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let group: ConnectionGroup
    /// What the group calls this connection, while it has it.
    var id: ConnectionID?
    var machine: ConnectionStateMachine
    private(set) var context: ChannelHandlerContext?
    /// Where responses enter the pipeline: at the last handler that has anything to do with them.
    var outlet: ChannelHandlerContext?
    private(set) var sending: SecuredSending?
    private var waitsForTurn = false
    private var memo = RequestMemo()
    /// Where responses go at once; `nil` if they have to go through the pipeline.
    private(set) var socket: Descriptor?
    var isUnsentBounded = false
    /// Who asks, so far as that is known.
    var asker = LeaseAsker()

    /// - Parameter tls: the handler in front of all others that speaks TLS; `nil` for plain HTTP.
    init(_ group: ConnectionGroup, behind tls: (any ChannelHandler)? = nil) {
        self.group = group
        machine = ConnectionStateMachine(limits: group.limits, tokens: group.services.access.tokens)
        sending = tls.map(SecuredSending.init)
    }

    /// Bytes that the connection takes beside those of its request.
    var heldBytes: Int { sending == nil ? 0 : ServerLimits.securedConnectionBytes }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        let now = group.now
        if sending == nil { socket = Self.socket(of: context) }
        boundUnsent()
        let outcome = group.admit(self, at: now)
        // From now on the group tells of new ones; there may have been some before.
        machine.tokensChanged(group.services.access.tokens)
        run(machine.accepted(outcome, isSecured: sending != nil, at: now))
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        let cleanup = machine.closed()
        if cleanup.isQueued { group.leaveQueue(self) }
        leaveLine()
        leaveLeases(isByClient: !machine.isCut)
        if cleanup.hasVanished { group.metrics.connections.vanished += 1 }
        if let reservation = cleanup.reservation { group.release(reservation) }
        sending?.drop()
        socket = nil
        group.remove(self)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        let action = machine.received(part, at: group.now)
        memo.parsed(part, machine.phase == .begun ? machine.request?.plan : nil)
        run(action)
    }

    private func waitForTurn() {
        guard !waitsForTurn else { return }
        waitsForTurn = true
        group.turns.newcomers.wait(self)
    }

    /// Its turn has come: the next request that waits is begun.
    func goOn() -> Bool {
        waitsForTurn = false
        if machine.isBetweenPipelined { run(nil) }
        return false
    }

    /// Takes bytes that are a request which is known; false if the parser must read them.
    func takeKnown(_ bytes: ByteBuffer) -> Bool {
        guard machine.takesWhole, let plan = memo.plan(for: bytes) else { return false }
        run(machine.received(plan, at: group.now))
        return true
    }

    /// Bytes are on their way to the parser.
    func willParse(_ bytes: ByteBuffer) {
        machine.bytesArrived()
        memo.willParse(bytes)
    }

    /// The parser has told of all that it has found in them.
    func didParse(_ bytes: ByteBuffer) { memo.didParse(bytes) }

    /// Something has come, handled or not.
    func wasHeard() { asker.worker?.hear(at: group.now) }

    /// Whether what comes matters any more.
    var takesInput: Bool { machine.takesInput }

    /// Whether what comes is the beginning of a request that can be taken at once.
    var takesWhole: Bool { machine.takesWhole }

    /// Whether the next request makes the client known: it comes in its place already.
    var willBeKnown: Bool { machine.willBeKnown }

    /// Whether what comes has to wait for the turns of clients that are not known yet. Bodies have room reserved for
    /// them.
    var isNewcomer: Bool { machine.standing != .proven && !machine.awaitsBody }

    func channelReadComplete(context: ChannelHandlerContext) {
        run(machine.readCompleted(at: group.now))
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        if machine.mayRead() { context.read() }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, sending?.goOn(context) ?? true { run(machine.becameWritable(at: group.now)) }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent { run(machine.inputEnded()) }
        if sending != nil, TLSEvent.isHandshakeDone(event) { machine.handshakeEnded(at: group.now) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if TLSEvent.isHandshakeFailure(error) {
            group.metrics.connections.handshakesFailed += 1
            if TLSEvent.isPlainRequest(error) { group.plainRequestCame(from: context.remoteAddress) }
        }
        // How many bytes a request has is in its head; who leaves amid one is told by the parser.
        guard context.channel.isActive, !TLSEvent.isAbruptEnd(error) else { return }
        if let error = error as? HTTPParserError {
            guard machine.parserFailed(Refusal(error)) else { return }
            if error == .invalidEOFState {
                group.metrics.connections.vanished += 1
            } else {
                group.metrics.requests.malformed += 1
            }
            run(nil)
        } else if let action = machine.failed() {
            group.logger.debug("connection failed", metadata: ["error": "\(error)"])
            run(action)
        }
    }

    // MARK: Events of the group

    /// Other tokens count for what comes from now on.
    func tokensChanged(_ tokens: TokenList) {
        memo.forget()
        machine.tokensChanged(tokens)
    }

    func limitsChanged(_ limits: ServerLimits) {
        memo.forget()
        machine.limits = limits
    }

    /// The request's turn for the in-flight budget has come.
    func granted(_ reservation: InFlightBudget.Reservation) {
        run(machine.granted(reservation, at: group.now))
    }

    func expire(force: Bool) { run(machine.expire(force: force)) }

    /// Closes the connection without a response.
    func cut() { run(machine.cut()) }

    /// The daemon stops.
    func stop() { run(machine.stop()) }

    /// Sees whether a slow client has taken a part of its response: the channel says so only once it has taken all.
    func noteProgress(_ now: NIODeadline) {
        guard machine.phase == .flushing, let context else { return }
        guard let unsent = try? context.channel.syncOptions?.getOption(ChannelOptions.bufferedWritableBytes) else {
            return
        }
        machine.unsent(Int(unsent) + (sending?.rest.readableBytes ?? 0), at: now)
    }

    // MARK: Actions

    /// Carries out an action and all that follow from it. What a client that is not known has sent before it had its
    /// answers waits for its turn, request by request.
    func run(_ first: ConnectionStateMachine.Action?) {
        var action = first ?? machine.next(at: group.now)
        while let current = action {
            action = carryOut(current)
            if action == nil, machine.isBetweenPipelined, isNewcomer { return waitForTurn() }
            action = action ?? machine.next(at: group.now)
        }
    }

    /// Returns the action that follows at once, if any.
    private func carryOut(_ action: ConnectionStateMachine.Action) -> ConnectionStateMachine.Action? {
        switch action {
        case .beginRequest:
            group.protect(self)
            boundUnsent()
            noteWorker()
        case .noteIncompleteHead:
            group.noteIncompleteHead(self)
        case .reserveBody(let bytes):
            switch reserve(bytes) {
            case .done: return machine.expectBody(at: group.now)
            case .inLine: return nil
            case .refused(let refusal): return .refuse(refusal, closing: true, leavesQueue: false)
            }
        case .sendContinue:
            let line = ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")
            outlet?.writeAndFlush(wrapOutboundOut(line), promise: nil)
        case .countBody(let bytes):
            group.metrics.requests.bytesIn += bytes
        case .perform(let operation):
            return perform(operation)
        case .refuse(let refusal, let closing, let leavesQueue):
            if leavesQueue { group.leaveQueue(self) }
            return refuse(refusal, closing: closing)
        case .leaveLine:
            return giveUpWaiting()
        case .endOutput:
            endOutput()
        case .finish(let request, let next, let now):
            if let request { group.finish(request, at: now) }
            switch next {
            case .keepAlive: group.makeEvictable(self, as: .idle, at: now)
            case .linger: break
            case .close: context?.close(promise: nil)
            }
        case .read:
            context?.read()
        case .close:
            context?.close(promise: nil)
        case .cut:
            // The channel may report the end later; until then this connection must not be chosen for eviction again.
            group.protect(self)
            cutOff()
        }
        return nil
    }

    /// Closes the connection now: TLS would wait for the client's goodbye.
    private func cutOff() {
        guard let context else { return }
        if let sending { sending.cut(context) } else { context.close(promise: nil) }
    }

    private func endOutput() {
        group.makeEvictable(self, as: machine.isProbeOnly ? .probeOnly : .lingering, at: group.now)
        guard let context else { return }
        context.close(mode: .output).assumeIsolated().whenComplete { [self] result in
            run(machine.outputEnded(succeeded: (try? result.get()) != nil, at: group.now))
        }
    }

    // MARK: Responses

    /// Writes a response in one flush; `closing` ends the connection after it.
    func respond(
        _ head: ResponseHead, _ content: ByteBuffer, closing: Bool = false
    ) -> ConnectionStateMachine.Action? {
        let framing = machine.respond(head.status, closing: closing)
        group.metrics.countResponse(framing.method, head.status)
        guard let outlet else { return machine.written(framing, isTaken: true, at: group.now) }
        var head = head
        if let share = takeNewShare() { head.fields.append(share) }
        if framing.sendsContent { group.metrics.requests.bytesOut += content.readableBytes }
        let content = framing.sendsContent ? content : ByteBuffer()
        // A short content goes with the head: one record of TLS, and one piece of memory for the kernel.
        let isShort = content.readableBytes <= Self.shortBytes
        let start = group.heads.write(head, connection: framing.connection, isShort ? content : ByteBuffer())
        let isTaken = send(start, isShort ? ByteBuffer() : content, isLast: !framing.keepsAlive, outlet)
        return machine.written(framing, isTaken: isTaken, at: group.now)
    }

    func refuse(_ refusal: Refusal, closing: Bool = false) -> ConnectionStateMachine.Action? {
        switch refusal.status {
        case .unauthorized: group.metrics.requests.unauthorized += 1
        case .forbidden: group.metrics.requests.forbidden += 1
        default: if refusal.status.code >= 500 { group.metrics.requests.refused += 1 }
        }
        let content = refusal.showsPage ? PageResponse.content : ByteBuffer(string: refusal.message + "\n")
        var head =
            refusal.showsPage
            ? PageResponse.head(refusal.status) : .text(refusal.status, length: content.readableBytes)
        if let reason = refusal.shed {
            group.metrics.countShed(reason)
            head.fields.append(("Retry-After", "\(Int.random(in: Refusal.retryAfter))"))
        }
        if let allow = refusal.allow { head.fields.append(("Allow", allow)) }
        if let challenge = refusal.challenge { head.fields.append(("WWW-Authenticate", challenge)) }
        return respond(head, content, closing: closing)
    }
}
