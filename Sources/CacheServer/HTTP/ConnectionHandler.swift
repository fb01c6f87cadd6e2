internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// One HTTP/1 connection: takes requests one after the other, has each carried out, writes its response.
///
/// What is read while a request is under way waits in `pending`, and nothing more is read from the socket until it is
/// answered and the client has taken the answer: so a connection holds one request's bytes and what one read of
/// the socket brought. A chunk that is in memory is answered without leaving the event loop and without a copy.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// Between two requests.
        case idle
        /// A head has come; its body or its end has not yet.
        case receiving
        /// In line for room in flight.
        case waiting
        /// The store, a thread or the control plane is busy with the request.
        case working
        /// The response is being written, which is when the kernel may say that the client is gone: then this connection closes within that.
        case writing
        /// The response is written, and the client is slow to take it.
        case draining
        /// The last response is written: what comes now is read and dropped, so that closing does not cut the response off.
        case closing
        case closed
    }

    let lane: Lane
    /// Where this connection stands in the lane's lists; only the lane changes these three.
    var links = ConnectionList.Links()
    var standing: Lane.Standing?
    var standsSince = NIODeadline.distantPast
    var phase = Phase.idle
    var plan: RequestPlan?
    var body = ByteBuffer()
    /// When this connection has had its time in the present phase.
    private(set) var deadline = NIODeadline.distantFuture
    /// Bytes that this connection is in line for.
    private(set) var wantedRoom = 0

    private(set) var context: ChannelHandlerContext?
    private var pending = CircularBuffer<HTTPServerRequestPart>()
    private var isProcessing = false
    /// What is wrong with the input after all that is pending.
    private var failure: Refusal?
    private var started = NIODeadline.distantPast
    /// When the first bytes of a head came that is not complete yet.
    private var headStarted: NIODeadline?
    private var sawPart = false
    private var sawBytes = false
    private var holdsRead = false
    private var inputClosed = false
    private var outputClosed = false
    private var heldRoom: Int?
    /// When the client last took or sent something while this connection held room.
    private var movedAt = NIODeadline.distantPast
    /// What the kernel had not taken yet of the response when that was looked at last.
    private var unsentBytes = 0
    /// Beyond the limit of connections: only questions about the daemon itself are answered.
    var isGuest = false
    /// Whether the lane still counts this connection.
    var isCounted = true
    /// The server ends the connection, so that its end says nothing about the client.
    private var isCut = false
    private var status = HTTPResponseStatus.ok

    init(lane: Lane) {
        self.lane = lane
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        let now = lane.now
        deadline = now + TimeAmount(lane.limits.idleTime)
        switch lane.admit(self, at: now) {
        case .serve: break
        case .guest: deadline = now + TimeAmount(lane.limits.lingerTime)
        case .drop: cut()
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if phase == .waiting { lane.leaveLine(self) }
        if !isCut, phase == .receiving || headStarted != nil { lane.metrics.vanished += 1 }
        // What a thread still works on keeps its room until the thread is done with it.
        if phase != .working { giveRoom() }
        phase = .closed
        pending.removeAll()
        body = ByteBuffer()
        lane.remove(self)
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        sawPart = true
        headStarted = phase == .idle ? headStarted : nil
        let part = unwrapInboundIn(data)
        switch phase {
        case .idle, .receiving: handle(part)
        case .waiting, .working, .writing, .draining: enqueue(part)
        case .closing, .closed: break
        }
    }

    /// Bytes are on their way to the parser.
    func bytesArrived() { sawBytes = true }

    /// The parser says nothing until a head is complete; bytes that came without a part are the beginning of one. The end of the input comes
    /// without bytes.
    func channelReadComplete(context: ChannelHandlerContext) {
        if phase == .idle, sawBytes, !sawPart, headStarted == nil {
            let now = lane.now
            headStarted = now
            deadline = min(deadline, now + TimeAmount(lane.limits.requestTime))
            if standing == .idle { lane.stand(self, as: .unproven, since: now) }
        }
        sawPart = false
        sawBytes = false
        context.fireChannelReadComplete()
    }

    func read(context: ChannelHandlerContext) {
        switch phase {
        case .waiting, .working, .writing, .draining: holdsRead = true
        case .idle, .receiving, .closing, .closed: context.read()
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if phase == .draining, context.channel.isWritable { finish() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            inputClosed = true
            if phase == .idle || (phase == .closing && outputClosed) { context.close(promise: nil) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard phase != .closing, phase != .closed, context.channel.isActive, failure == nil else { return }
        if let error = error as? HTTPParserError {
            if error == .invalidEOFState { lane.metrics.vanished += 1 } else { lane.metrics.malformed += 1 }
            failure = Refusal(error)
            processPending()
        } else {
            lane.logger.debug("connection failed", metadata: ["error": "\(error)"])
            // By what the client or the network did: `channelInactive` counts it.
            context.close(promise: nil)
        }
    }

    // MARK: Requests

    private func enqueue(_ part: HTTPServerRequestPart) {
        guard failure == nil else { return }
        if pending.count < lane.limits.pipelinedParts {
            pending.append(part)
        } else {
            failure = .busy("too many requests at a time on one connection")
        }
    }

    private func processPending() {
        guard !isProcessing else { return }
        isProcessing = true
        while phase == .idle || phase == .receiving, let part = pending.popFirst() { handle(part) }
        isProcessing = false
        switch phase {
        case .idle, .receiving:
            if let failure {
                refuse(failure, closing: true)
            } else if phase == .idle, inputClosed || lane.isDraining {
                context?.close(promise: nil)
            } else {
                readAgain()
            }
        case .waiting, .working, .writing, .draining, .closing, .closed: break
        }
    }

    private func readAgain() {
        guard holdsRead else { return }
        holdsRead = false
        context?.read()
    }

    private func handle(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head): begin(head)
        case .body(let bytes): append(bytes)
        case .end: perform()
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        let plan = RequestPlan(head, limits: lane.limits)
        self.plan = plan
        let now = lane.now
        lane.stand(self, as: nil, since: now)
        started = headStarted ?? now
        headStarted = nil
        deadline = started + TimeAmount(lane.limits.requestTime)
        phase = .receiving
        if isGuest, !plan.isControl { return refuse(.busy("too many connections"), closing: true) }
        guard plan.hasBody else { return }
        if case .refuse(let refusal) = plan.operation {
            refuse(refusal, closing: true)
        } else if takeRoom(plan.declaredLength ?? plan.bodyLimit) {
            welcomeBody(plan)
        }
    }

    private func welcomeBody(_ plan: RequestPlan) {
        guard let context else { return }
        movedAt = lane.now
        body = context.channel.allocator.buffer(capacity: plan.declaredLength ?? 0)
        if plan.awaitsContinue {
            context.writeAndFlush(
                wrapOutboundOut(ByteBuffer(staticString: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
    }

    private func append(_ bytes: ByteBuffer) {
        guard let plan else { return }
        lane.metrics.bytesIn += bytes.readableBytes
        guard body.readableBytes + bytes.readableBytes <= plan.bodyLimit else {
            refuse(.tooLarge("the body", limit: plan.bodyLimit), closing: true)
            return
        }
        movedAt = lane.now
        body.writeImmutableBuffer(bytes)
    }

    // MARK: Room in flight

    /// A request with a body takes its room when the head is there, any other one when it is carried out.
    private var purpose: Room.Purpose { plan?.hasBody == true ? .body : .response }

    /// Whether the client has kept room in flight since `time` without a move: neither its request nor the response goes on.
    func hasStoodOnRoom(since time: NIODeadline) -> Bool {
        (heldRoom ?? 0) > 0 && hasStood(since: time)
    }

    /// Whether nothing has come of the request or gone of the response since `time`.
    func hasStood(since time: NIODeadline) -> Bool {
        (phase == .receiving || phase == .draining) && max(movedAt, started) <= time
    }

    /// Sees whether a slow client has taken a part of its response: the channel says so only once it has taken all.
    func noteProgress(_ now: NIODeadline) {
        guard phase == .draining, let context else { return }
        let unsent = try? context.channel.syncOptions?.getOption(ChannelOptions.bufferedWritableBytes)
        guard let unsent, unsent != unsentBytes else { return }
        unsentBytes = unsent
        movedAt = now
    }

    /// Takes room for the request, or puts it in line; then ``roomGranted()`` goes on with it.
    func takeRoom(_ bytes: Int, orInLineFor wanted: Int? = nil) -> Bool {
        if heldRoom != nil { return true }
        if lane.takeRoom(bytes, for: purpose, of: self) {
            heldRoom = bytes
            return true
        }
        wantedRoom = wanted ?? bytes
        phase = .waiting
        deadline = min(deadline, lane.now + TimeAmount(lane.limits.waitTime))
        return false
    }

    func enterWithoutLine() {
        lane.enterWithoutLine()
        heldRoom = 0
    }

    func roomGranted() {
        heldRoom = wantedRoom
        deadline = started + TimeAmount(lane.limits.requestTime)
        phase = .receiving
        if let plan, plan.hasBody {
            welcomeBody(plan)
        } else {
            perform()
        }
        processPending()
    }

    func shrinkRoom(to bytes: Int) {
        guard let held = heldRoom, bytes < held else { return }
        heldRoom = bytes
        lane.shrinkRoom(held - bytes, of: purpose)
    }

    func giveRoom() {
        guard let held = heldRoom else { return }
        heldRoom = nil
        lane.giveRoom(held, of: purpose)
    }

    // MARK: Responses

    /// Writes a response in one flush. `content` is left out for a HEAD; `closing` ends the connection after it.
    func respond(_ head: ResponseHead, _ content: ByteBuffer, closing: Bool = false) {
        guard let context else { return }
        phase = .writing
        let keepAlive = !closing && plan?.keepAlive == true && !lane.isDraining && !isGuest
        status = head.status
        lane.metrics.countResponse(plan?.method ?? .RAW(value: "-"), head.status)
        var out = context.channel.allocator.buffer(capacity: 256)
        head.write(
            to: &out, date: lane.date,
            connection: keepAlive ? (plan?.isVersion10 == true ? "keep-alive" : nil) : "close")
        let sendsContent = plan?.method != .HEAD && content.readableBytes > 0
        context.write(wrapOutboundOut(out), promise: nil)
        if sendsContent {
            lane.metrics.bytesOut += content.readableBytes
            context.write(wrapOutboundOut(content), promise: nil)
        }
        context.flush()
        // The client was gone: `channelInactive` has come and given the room back.
        guard phase == .writing else { return }
        if !keepAlive {
            close(after: context)
        } else if context.channel.isWritable {  // the watermark is one byte: the kernel has taken everything
            finish()
        } else {
            phase = .draining
            movedAt = lane.now
        }
    }

    func refuse(_ refusal: Refusal, closing: Bool = false) {
        if refusal.status.code >= 500 { lane.metrics.refusals += 1 }
        let line = ByteBuffer(string: refusal.message + "\n")
        var head = ResponseHead.text(refusal.status, length: line.readableBytes)
        if refusal.retry { head.fields.append(("Retry-After", "1")) }
        if let allow = refusal.allow { head.fields.append(("Allow", allow)) }
        respond(head, line, closing: closing)
    }

    /// Ends the output once all is written, and goes on reading for a while: closing a socket that has unread input resets the
    /// connection, and the client may never see the response.
    private func close(after context: ChannelHandlerContext) {
        phase = .closing
        headStarted = nil
        pending.removeAll()
        lane.stand(self, as: isGuest ? .guest : .leaving, since: lane.now)
        context.close(mode: .output).assumeIsolated().whenComplete { [self] result in
            recordTime(lane.now)
            giveRoom()
            outputClosed = true
            deadline = lane.now + TimeAmount(lane.limits.lingerTime)
            if inputClosed || (try? result.get()) == nil { self.context?.close(promise: nil) }
        }
        readAgain()
    }

    /// The kernel has the response: on to the next request.
    private func finish() {
        let now = lane.now
        recordTime(now)
        giveRoom()
        plan = nil
        phase = .idle
        deadline = now + TimeAmount(lane.limits.idleTime)
        lane.stand(self, as: .idle, since: now)
        processPending()
    }

    private func recordTime(_ now: NIODeadline) {
        guard status.code < 300, let plan else { return }
        let nanoseconds = (now - started).nanoseconds
        switch plan.operation {
        case .get: lane.metrics.getSeconds.record(nanoseconds: nanoseconds)
        case .put: lane.metrics.putSeconds.record(nanoseconds: nanoseconds)
        case .head, .missing, .control, .refuse: break
        }
    }

    // MARK: Time

    /// The time of the present phase is over; `force` says that the daemon's is, too.
    func expire(force: Bool) {
        switch phase {
        case _ where force: cut()
        case .idle where headStarted != nil, .receiving:
            refuse(Refusal(status: .requestTimeout, message: "the request took too long to arrive"), closing: true)
        case .idle where isGuest: refuse(.busy("too many connections"), closing: true)
        case .waiting:
            lane.leaveLine(self)
            refuse(.busy("too many requests or bytes in flight"), closing: plan?.hasBody == true)
        case .idle, .working, .writing, .draining, .closing, .closed: cut()
        }
    }

    /// Ends the connection from this side, without a word.
    func cut() {
        isCut = true
        // The end may come later, and nobody should choose this one again until then.
        lane.stand(self, as: nil, since: standsSince)
        context?.close(promise: nil)
    }

    /// The daemon stops: an idle connection ends now, another one after its request.
    func drain() {
        if phase == .idle { cut() }
    }
}
