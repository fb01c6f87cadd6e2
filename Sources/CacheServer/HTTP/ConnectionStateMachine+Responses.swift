internal import NIOCore
internal import NIOHTTP1

/// Events from a request that is carried out to a response that the client has taken.
extension ConnectionStateMachine {
    /// How a response is written.
    struct Framing {
        /// The method of the request; `nil` if the response answers none.
        let method: HTTPMethod?
        let keepsAlive: Bool
        /// The value of the `Connection` field, if it must be there.
        let connection: StaticString?
        /// Whether the content is sent, too: it is left out for a HEAD.
        var sendsContent: Bool { method != .HEAD }
    }

    /// The store, a thread or the control plane starts to work for the request.
    mutating func workStarted() { phase = .working }

    /// Whether what was worked on is to be answered. If not, the client is gone, and only the budget is left to return.
    var awaitsAnswer: Bool { phase == .working && !isEnding }

    /// A response is about to be written.
    /// - Parameter closing: whether it is the last one, whatever the client wishes.
    mutating func respond(_ status: HTTPResponseStatus, closing: Bool) -> Framing {
        assert(canRespond, "two responses for one request")
        phase = .writing
        request?.status = status
        let plan = request?.plan
        let keepsAlive = !closing && plan?.keepAlive == true && !isStopping && !isProbeOnly
        // HTTP/1.1 keeps a connection unless it says otherwise, HTTP/1.0 the other way round.
        let field: StaticString? = keepsAlive ? (plan?.isVersion10 == true ? "keep-alive" : nil) : "close"
        return Framing(method: plan?.method, keepsAlive: keepsAlive, connection: field)
    }

    private var canRespond: Bool {
        switch phase {
        case .idle, .receiving, .waiting, .inLine, .working: true
        case .begun, .writing, .flushing, .closing, .lingering, .closed: false
        }
    }

    /// The response is with the channel.
    /// - Parameter isTaken: whether the kernel has all of it.
    mutating func written(_ framing: Framing, isTaken: Bool, at now: NIODeadline) -> Action? {
        // The client was gone: the connection has closed within the write, and returned its part of the budget.
        guard phase == .writing else { return nil }
        guard framing.keepsAlive else {
            phase = .closing
            input.drop()
            return .endOutput
        }
        if isTaken { return finish(at: now) }
        phase = .flushing
        request?.lastProgress = now
        request?.unsentSince = now
        return nil
    }

    /// The kernel has taken all that was written.
    mutating func becameWritable(at now: NIODeadline) -> Action? {
        phase == .flushing ? finish(at: now) : nil
    }

    /// On to the next request.
    private mutating func finish(at now: NIODeadline) -> Action? {
        if let request, (request.reservation?.bytes ?? 0) > 0, !request.plan.hasBody {
            let isFast = request.unsentSince.map { now - $0 < TimeAmount(limits.timeouts.wait / 2) } ?? true
            standing = !isFast ? .unknown : standing == .proven ? .proven : .hasTaken
        }
        phase = .idle
        deadline = now + TimeAmount(limits.timeouts.idle)
        return .finish(takeFinished(), next: .keepAlive, at: now)
    }

    /// The end of the output is sent, after all that was written, or it could not be.
    mutating func outputEnded(succeeded: Bool, at now: NIODeadline) -> Action? {
        let finished = takeFinished()
        guard phase == .closing else { return .finish(finished, next: .linger, at: now) }
        phase = .lingering
        deadline = now + TimeAmount(limits.timeouts.linger)
        guard input.isEnded || !succeeded else { return .finish(finished, next: .linger, at: now) }
        isEnding = true
        return .finish(finished, next: .close, at: now)
    }

    private mutating func takeFinished() -> FinishedRequest? {
        guard let request = request.take() else { return nil }
        return FinishedRequest(
            operation: request.plan.operation, status: request.status, started: request.started,
            isFromMemory: request.isFromMemory, reservation: request.reservation)
    }
}
