internal import NIOCore

/// What one NBD connection is to do, as a pure value: bytes and results go in, actions come out. No I/O, no clock.
///
/// ``NBDHandler`` carries actions out. It must ask ``next()`` after each event, and after each action, until that is
/// `nil`.
struct NBDConnection {
    enum Action {
        /// Send it, and tell ``taken(_:)`` the cost once the kernel has it all.
        case write(NBDReply, cost: Int)
        /// Read it from the device, and tell ``completed(_:_:)``.
        case read(NBDPiece)
        case close
    }

    private enum Phase { case negotiating, transmitting, closing, closed }

    /// What a reply costs beside its bytes: the memory for it in line for the socket.
    static let replyCost = 512
    /// Replies of the negotiation that the client has not taken; beyond, it is not heard.
    static let negotiationBytes = 64 * 1024

    private let limits: NBDLimits
    private var negotiation: NBDNegotiation
    private var transmission: NBDTransmission?
    private var phase = Phase.negotiating
    private var input = ByteBuffer()
    /// Bytes that are being read from the device or wait for the client to take them.
    private(set) var inFlight = 0

    init(export: NBDExport, limits: NBDLimits) {
        self.limits = limits
        negotiation = NBDNegotiation(export: export, limits: limits)
    }

    /// Whether the client has not chosen the export yet.
    var isNegotiating: Bool { phase == .negotiating }

    /// Whether bytes from the client would be of use now. They are not read before, so that ``input`` holds no more
    /// than what one read of the socket brings and the beginning of an option or request.
    var wantsInput: Bool {
        switch phase {
        case .negotiating: inFlight < Self.negotiationBytes
        case .transmitting: transmission?.hasRoom(inFlight: inFlight) ?? false
        case .closing, .closed: false
        }
    }

    /// The connection is there.
    mutating func opened() -> Action { write(NBDReply(head: NBDNegotiation.greeting)) }

    mutating func received(_ bytes: ByteBuffer) {
        guard phase == .negotiating || phase == .transmitting else { return }
        if input.readableBytes == 0 {
            input = bytes
        } else {
            input.discardReadBytes()
            input.writeImmutableBuffer(bytes)
        }
    }

    mutating func completed(_ piece: NBDPiece, _ result: Result<[ByteBuffer], NBDError>) {
        transmission?.completed(piece, result)
    }

    /// The kernel has taken a reply of that cost.
    mutating func taken(_ cost: Int) { inFlight -= cost }

    /// No further request is taken; once all are answered, the connection ends.
    mutating func stop() {
        transmission?.finish()
        if phase == .negotiating { phase = .closing }
    }

    /// The connection is gone.
    mutating func closed() {
        phase = .closed
        input = ByteBuffer()
        transmission = nil
    }

    mutating func next() -> Action? {
        while true {
            switch phase {
            case .negotiating:
                guard inFlight < Self.negotiationBytes, let action = negotiate() else { return nil }
                return action
            case .transmitting:
                switch transmission?.next(&input, inFlight: inFlight) {
                case .reply(let reply):
                    guard reply.head.readableBytes > 0 else {
                        inFlight -= reply.charge
                        continue
                    }
                    return write(reply)
                case .read(let piece):
                    inFlight += piece.count
                    return .read(piece)
                case .end:
                    phase = .closed
                    return .close
                case nil:
                    guard let transmission, transmission.isEnding, transmission.isIdle else { return nil }
                    phase = .closing
                }
            case .closing:
                guard inFlight == 0 else { return nil }
                phase = .closed
                return .close
            case .closed: return nil
            }
        }
    }

    private mutating func negotiate() -> Action? {
        switch negotiation.next(&input) {
        case .wait: return nil
        case .reply(let bytes): return write(NBDReply(head: bytes))
        case .begin(let bytes):
            transmission = NBDTransmission(
                export: negotiation.export, limits: limits, agreement: negotiation.agreement)
            phase = .transmitting
            return write(NBDReply(head: bytes))
        case .end(let bytes):
            phase = .closing
            return write(NBDReply(head: bytes))
        }
    }

    private mutating func write(_ reply: NBDReply) -> Action {
        let cost = reply.head.readableBytes + Self.replyCost
        inFlight += cost
        return .write(reply, cost: cost + reply.charge)
    }
}
