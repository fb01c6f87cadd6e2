internal import CacheFiles
internal import NIOCore
internal import NIOHTTP1

/// Events up to a request that can be carried out: what the client sends, and its turn for the in-flight budget.
extension ConnectionStateMachine {
    /// Bytes are on their way to the parser.
    mutating func bytesArrived() { input.hasBytes = true }

    /// The parser has found a part of a request.
    mutating func received(_ part: HTTPServerRequestPart, at now: @autoclosure () -> NIODeadline) -> Action? {
        input.hasParts = true
        guard !isEnding else { return nil }
        switch phase {
        case .idle where input.hasMore:
            input.enqueue(part)
            return nil
        case .idle, .receiving:
            if phase == .idle, standing == .hasTaken { standing = .proven }
            return take(part, at: now())
        case .begun, .waiting, .inLine, .working, .writing, .flushing:
            input.enqueue(part)
            return nil
        case .closing, .lingering, .closed: return nil
        }
    }

    /// Whether what comes is the beginning of a request that can be taken at once, of a client that is known.
    var takesWhole: Bool {
        phase == .idle && standing == .proven && takesInput && !input.hasMore && input.headStarted == nil
    }

    /// Whether a request would show that the client takes what it asks for.
    var willBeKnown: Bool {
        phase == .idle && standing == .hasTaken && takesInput && !input.hasMore && input.headStarted == nil
    }

    /// A whole request without a body has come, where ``takesWhole``.
    mutating func received(_ plan: RequestPlan, at now: NIODeadline) -> Action? {
        input.enqueue(.end(nil))
        return begin(plan, started: now)
    }

    /// A read of the socket is over. The parser reports nothing until a head is complete, so bytes without a part are
    /// the beginning of a head. (The end of the input comes without bytes.)
    mutating func readCompleted(at now: @autoclosure () -> NIODeadline) -> Action? {
        defer {
            input.hasBytes = false
            input.hasParts = false
        }
        guard phase == .idle, input.hasBytes, !input.hasParts, input.headStarted == nil else { return nil }
        let now = now()
        input.headStarted = now
        deadline = min(deadline, now + TimeAmount(limits.timeouts.request))
        return isEnding ? nil : .noteIncompleteHead
    }

    /// Whether the socket may be read now; if not, ``next(at:)`` has it read later.
    mutating func mayRead() -> Bool {
        switch phase {
        case .idle where input.hasMore:
            input.isReadHeld = true
            return false
        case .idle, .begun, .receiving, .closing, .lingering, .closed: return true
        case .waiting, .inLine, .working, .writing, .flushing:
            input.isReadHeld = true
            return false
        }
    }

    /// What is to be done next without a further event, if anything.
    mutating func next(at now: @autoclosure () -> NIODeadline) -> Action? {
        if isEnding { return nil }
        if phase == .begun, let action = decide() { return action }
        switch phase {
        case .idle, .receiving: break
        case .closing, .lingering: return input.releaseRead() ? .read : nil
        case .begun, .waiting, .inLine, .working, .writing, .flushing, .closed: return nil
        }
        if request?.isTooLong == true, let request {
            return .refuse(.tooLarge("the body", limit: request.plan.bodyLimit), closing: true, leavesQueue: false)
        }
        while let part = input.next() {
            if let action = take(part, at: now()) { return action }
        }
        if let failure = input.failure { return .refuse(failure, closing: true, leavesQueue: false) }
        if phase == .idle, input.isEnded || isStopping { return end() }
        return input.releaseRead() ? .read : nil
    }

    private mutating func take(_ part: HTTPServerRequestPart, at now: @autoclosure () -> NIODeadline) -> Action? {
        switch part {
        case .head(let head):
            return begin(RequestPlan(head, limits: limits, tokens: tokens), started: input.headStarted ?? now())
        case .body(let bytes):
            return append(bytes, at: now())
        case .end:
            guard let operation = request?.plan.operation else { return nil }
            return .perform(operation)
        }
    }

    private mutating func begin(_ plan: RequestPlan, started: NIODeadline) -> Action? {
        request = CurrentRequest(plan: plan, started: started)
        input.headStarted = nil
        deadline = started + TimeAmount(limits.timeouts.request)
        phase = .begun
        return .beginRequest
    }

    /// What becomes of a request whose head has come.
    private mutating func decide() -> Action? {
        phase = .receiving
        guard let plan = request?.plan else { return nil }
        if isProbeOnly, !plan.isControl {
            return .refuse(.tooManyConnections, closing: true, leavesQueue: false)
        }
        guard plan.hasBody else { return nil }
        if case .refuse(let refusal) = plan.operation { return .refuse(refusal, closing: true, leavesQueue: false) }
        return .reserveBody(bytes: plan.declaredLength ?? plan.bodyLimit)
    }

    private mutating func append(_ bytes: ByteBuffer, at now: NIODeadline) -> Action? {
        guard let limit = request?.plan.bodyLimit else { return nil }
        if body.readableBytes + bytes.readableBytes <= limit {
            request?.lastProgress = now
            body.writeImmutableBuffer(bytes)
        } else {
            request?.isTooLong = true
        }
        return .countBody(bytes: bytes.readableBytes)
    }

    // MARK: The budget

    /// What the request must reserve for before it is carried out; `nil` if it has done so.
    var missingReservation: InFlightBudget.Purpose? {
        guard let request, request.reservation == nil else { return nil }
        return request.purpose(isProven: standing == .proven)
    }

    /// The request has its part of the budget.
    mutating func reserved(_ reservation: InFlightBudget.Reservation) { request?.reservation = reservation }

    /// Too little of the budget was left: the request stands in line for it.
    mutating func queued(at now: NIODeadline) {
        phase = .waiting
        deadline = min(deadline, now + TimeAmount(limits.timeouts.wait))
    }

    /// The turn of the request that stood in line has come.
    mutating func granted(_ reservation: InFlightBudget.Reservation, at now: NIODeadline) -> Action? {
        guard let request else { return nil }
        reserved(reservation)
        deadline = request.started + TimeAmount(limits.timeouts.request)
        phase = .receiving
        if isEnding { return nil }
        return request.plan.hasBody ? expectBody(at: now) : .perform(request.plan.operation)
    }

    /// The budget for the body is reserved: it may come.
    mutating func expectBody(at now: NIODeadline) -> Action? {
        guard let plan = request?.plan else { return nil }
        request?.lastProgress = now
        // It stays in memory as it is: what evicted chunks have left is used for it.
        body = PieceMemory.allocator.buffer(capacity: plan.declaredLength ?? 0)
        return plan.awaitsContinue ? .sendContinue : nil
    }

    /// The body, which leaves the connection with this.
    mutating func takeBody() -> ByteBuffer {
        defer { body = ByteBuffer() }
        return body
    }

    /// Less than was reserved is enough. Returns what is to be returned of the budget.
    mutating func shrinkReservation(to bytes: Int) -> InFlightBudget.Reservation? {
        guard let held = request?.reservation, bytes < held.bytes else { return nil }
        request?.reservation?.bytes = bytes
        return InFlightBudget.Reservation(bytes: held.bytes - bytes, purpose: held.purpose)
    }

    /// What the request has of the budget, which it has no more with this.
    mutating func takeReservation() -> InFlightBudget.Reservation? {
        defer { request?.reservation = nil }
        return request?.reservation
    }
}
