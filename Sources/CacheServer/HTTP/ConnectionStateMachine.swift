internal import CacheAccess
internal import NIOCore
internal import NIOHTTP1

/// What one HTTP/1 connection is to do, as a pure value: events and the time go in, an action comes out. No I/O, no
/// channel, no clock.
///
/// A method that needs the time in some cases only takes it as an autoclosure, so that the chunk path does not read the
/// clock for nothing.
///
/// Requests are taken one after the other. What is read while one is under way waits in ``ConnectionInput``, and
/// nothing more is read from the socket until it is answered and the client has taken the answer: so a connection holds
/// one request's bytes and what one read of the socket brought.
///
/// ``ConnectionHandler`` carries actions out. It must ask ``next(at:)`` after the action of an event, and after each
/// further action, until that is `nil`. The events of a request are in `ConnectionStateMachine+Requests.swift`, those
/// of its response in `ConnectionStateMachine+Responses.swift`. Only these files change the stored properties.
struct ConnectionStateMachine {
    enum Phase: Hashable {
        /// Between two requests.
        case idle
        /// A head has come; ``next(at:)`` says what becomes of it.
        case begun
        /// The request goes on: its body or its end has not come yet.
        case receiving
        /// In line for the in-flight budget.
        case waiting
        /// In line for the fill of a chunk by another client.
        case inLine
        /// The store, a thread or the control plane is busy with the request.
        case working
        /// The response is being written. The write itself may find that the client is gone: then the connection is
        /// closed when it returns.
        case writing
        /// The response is with the channel, but the kernel has not taken all of it: the client reads slowly.
        case flushing
        /// The last response is written and the end of the output announced: what comes now is read and dropped,
        /// because closing a socket that has unread input resets the connection, and the client may never see the
        /// response.
        case closing
        /// The end of the output has been sent; the client may read and close for a while.
        case lingering
        /// The channel is closed.
        case closed
    }

    /// What is to be done for the connection.
    enum Action {
        /// A request has begun: the connection may not be evicted while it is under way.
        case beginRequest
        /// A part of a head has come: whether a request will follow is open, so an idle connection counts as unproven
        /// again.
        case noteIncompleteHead
        /// Reserve this much of the budget for the body that is to come; then tell ``reserved(_:)`` and
        /// ``expectBody(at:)``, or ``queued(at:)``.
        case reserveBody(bytes: Int)
        /// Send `100 Continue`.
        case sendContinue
        /// Count these bytes as received.
        case countBody(bytes: Int)
        /// Carry the request out: it is complete.
        case perform(RequestPlan.Operation)
        /// Answer with a refusal, after which the connection ends if `closing`; leave the line for the budget before if
        /// `leavesQueue`.
        case refuse(Refusal, closing: Bool, leavesQueue: Bool)
        /// The wait for a fill is over without one: leave the line and answer so.
        case leaveLine
        /// Send the end of the output; then tell ``outputEnded(succeeded:at:)``.
        case endOutput
        /// The kernel has taken the last response that was written. Count the request that it answers, if any, and
        /// return its budget; then go on as `next` says.
        case finish(FinishedRequest?, next: Continuation, at: NIODeadline)
        /// Read from the socket.
        case read
        /// Close the connection.
        case close
        /// Close the connection for a reason of the daemon's own; it may not be chosen for eviction until it is gone.
        case cut
    }

    /// What is known of how a client reads.
    enum Standing: Hashable {
        /// It has taken no chunk yet, or its last one slowly.
        case unknown
        /// The kernel took a chunk for it at once, which may lie there.
        case hasTaken
        /// It has asked for more after that: it reads what it asks for.
        case proven
    }

    /// How a connection goes on when a response is out.
    enum Continuation: Hashable { case keepAlive, linger, close }

    var limits: ServerLimits
    /// Of which each request must show one; `nil` where none is asked for.
    private(set) var tokens: TokenList?
    var phase = Phase.idle
    /// When the time that the present phase may take is over.
    var deadline = NIODeadline.distantFuture
    var input: ConnectionInput
    var request: CurrentRequest?
    /// What has come of the body of ``request``.
    var body = ByteBuffer()
    /// Beyond the limit of connections: only requests about the daemon itself are answered.
    var isProbeOnly = false
    /// The daemon stops: each response is the last one of its connection.
    var isStopping = false
    /// The daemon has cut the connection: its end does not count as the client's.
    var isCut = false
    /// ``Action/close`` or ``Action/cut`` was given: nothing is begun any more.
    var isEnding = false
    /// What is known of the client.
    var standing = Standing.unknown

    init(limits: ServerLimits, tokens: TokenList? = nil) {
        self.limits = limits
        self.tokens = tokens
        input = ConnectionInput(limit: limits.pipelinedParts)
    }
}

// MARK: The life of a connection

extension ConnectionStateMachine {
    /// The connection is there, and this is what admission said.
    /// - Parameter isSecured: whether it begins with a handshake, of which ``handshakeEnded(at:)`` tells.
    mutating func accepted(
        _ outcome: ConnectionAdmission.Outcome, isSecured: Bool = false, at now: NIODeadline
    ) -> Action? {
        deadline = now + TimeAmount(isSecured ? limits.timeouts.handshake : limits.timeouts.idle)
        switch outcome {
        case .served: return nil
        case .probeOnly:
            isProbeOnly = true
            deadline = now + TimeAmount(limits.timeouts.linger)
            return nil
        case .dropped: return cut()
        }
    }

    /// The handshake of TLS is over: from now on there may be requests.
    mutating func handshakeEnded(at now: NIODeadline) {
        guard phase == .idle, input.headStarted == nil, !isEnding else { return }
        deadline = now + TimeAmount(isProbeOnly ? limits.timeouts.linger : limits.timeouts.idle)
    }

    /// Other tokens count for requests whose head has not been looked at.
    mutating func tokensChanged(_ tokens: TokenList?) { self.tokens = tokens }

    /// The client has sent all that it will ever send.
    mutating func inputEnded() -> Action? {
        input.isEnded = true
        // Nothing tells a client that only sends no more from one that is gone: neither is waited for.
        if phase == .inLine, !isEnding { return .leaveLine }
        return phase == .idle || phase == .lingering ? end() : nil
    }

    /// The network or the client broke the connection.
    mutating func failed() -> Action? { isClosing || input.failure != nil ? nil : end() }

    /// The input cannot be parsed. Once all requests before that are answered, `refusal` is, too.
    /// - Returns: false if the input does not matter any more.
    mutating func parserFailed(_ refusal: Refusal) -> Bool {
        guard !isClosing, input.failure == nil else { return false }
        input.failure = refusal
        return true
    }

    /// Whether no request is taken any more.
    private var isClosing: Bool { phase == .closing || phase == .lingering || phase == .closed }

    /// Whether what comes is looked at.
    var takesInput: Bool { !isClosing && !isEnding && input.failure == nil }

    /// Whether a request is over and the next one has come already.
    var isBetweenPipelined: Bool { phase == .idle && input.hasMore && !isEnding }

    /// Whether a body is on its way.
    var awaitsBody: Bool { phase == .receiving && request?.plan.hasBody == true }

    /// The daemon stops: an idle connection ends now, another one after its request.
    mutating func stop() -> Action? {
        isStopping = true
        if phase == .inLine, !isEnding { return .leaveLine }
        return phase == .idle ? cut() : nil
    }

    /// The time of the present phase is over.
    /// - Parameter force: whether the daemon's own time is over, too, so that no refusal is sent any more.
    mutating func expire(force: Bool) -> Action? {
        switch phase {
        case .closed: return nil
        case _ where force || isEnding: return cut()
        case .idle where input.headStarted != nil, .begun, .receiving:
            let refusal = Refusal(status: .requestTimeout, message: "the request took too long to arrive")
            return .refuse(refusal, closing: true, leavesQueue: false)
        case .idle where isProbeOnly:
            return .refuse(.tooManyConnections, closing: true, leavesQueue: false)
        case .waiting:
            return .refuse(.noRoom, closing: request?.plan.hasBody == true, leavesQueue: true)
        case .inLine: return .leaveLine
        case .idle, .working, .writing, .flushing, .closing, .lingering: return cut()
        }
    }

    /// The daemon ends the connection without a response.
    mutating func cut() -> Action? {
        isCut = true
        isEnding = true
        return .cut
    }

    mutating func end() -> Action? {
        isEnding = true
        return .close
    }

    /// What is left to do for a connection that is gone.
    struct Cleanup {
        /// It stands in line for the budget.
        let isQueued: Bool
        /// The client left in the middle of a request.
        let hasVanished: Bool
        /// What it had of the budget. What a thread still works on keeps its part until the thread is done with it.
        let reservation: InFlightBudget.Reservation?
    }

    /// The connection is gone.
    mutating func closed() -> Cleanup {
        let cleanup = Cleanup(
            isQueued: phase == .waiting,
            hasVanished: !isCut && (phase == .begun || phase == .receiving || input.headStarted != nil),
            reservation: phase == .working ? nil : takeReservation())
        phase = .closed
        input.drop()
        body = ByteBuffer()
        return cleanup
    }
}

// MARK: Time

extension ConnectionStateMachine {
    /// Whether nothing has come of the request or gone of the response since `time`.
    func hasStalled(since time: NIODeadline) -> Bool {
        guard phase == .receiving || phase == .flushing, let request else { return false }
        return max(request.lastProgress, request.started) <= time
    }

    /// The same for a request that keeps bytes of the budget from others meanwhile, also if it is only slow to take its
    /// response.
    func hasStalledWithBudget(since time: NIODeadline, at now: NIODeadline) -> Bool {
        guard (request?.reservation?.bytes ?? 0) > 0 else { return false }
        return hasStalled(since: time) || phase == .flushing && isSlow(at: now)
    }

    /// Whether so little comes of a request, or goes of its response, that its client is of no use to itself: less than
    /// 64 KiB a second, after a while.
    func isSlow(at now: NIODeadline) -> Bool {
        guard phase == .receiving || phase == .flushing, let request else { return false }
        let elapsed = now - request.started
        guard elapsed >= TimeAmount(limits.timeouts.wait / 2) else { return false }
        let moved = phase == .receiving ? body.readableBytes : (request.reservation?.bytes ?? 0) - request.unsentBytes
        return Double(moved) < Double(elapsed.nanoseconds) / 1e9 * Self.slowestRate
    }

    private static var slowestRate: Double { 64 * 1024 }

    /// Notes how many bytes of the response the kernel has not taken yet: fewer than before means that the client
    /// reads.
    mutating func unsent(_ bytes: Int, at now: NIODeadline) {
        guard phase == .flushing, request?.unsentBytes != bytes else { return }
        request?.unsentBytes = bytes
        request?.lastProgress = now
    }
}
