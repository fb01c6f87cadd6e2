internal import CacheClient
internal import NIOCore

/// The second phase of a connection, requests and replies, as a pure value: bytes and results go in, steps come out.
///
/// Large reads are cut into pieces, so that a connection with many of them open holds a bounded part of the device, and
/// replies go out in the order in which pieces are there.
struct NBDTransmission {
    enum Step {
        case reply(NBDReply)
        case read(NBDPiece)
        /// The connection ends, without waiting for anything.
        case end
    }

    /// The most bytes of one piece: two chunks. Pieces end at its multiples.
    static let pieceBytes: UInt64 = 1 << 20
    /// A shorter run of zeros is read as data: a chunk of a reply for it would cost more.
    static let leastHole: UInt64 = 4096
    /// Extents that are looked at for one piece.
    static let extentsAPiece = 64
    /// Descriptors in the answer to BLOCK_STATUS; a client asks again for the rest.
    static let mostDescriptors = 1024

    let export: NBDExport
    let limits: NBDLimits
    let agreement: NBDAgreement
    private let writer: NBDReplyWriter
    private(set) var requests: [UInt64: NBDOpenRequest] = [:]
    /// Requests that have pieces to begin, the oldest first.
    private var beginning = CircularBuffer<UInt64>()
    private var replies = CircularBuffer<NBDReply>()
    private var lastID: UInt64 = 0
    /// Bytes of a WRITE that are to be dropped before the next request.
    private var unwanted = 0
    private var cookieOfUnwanted: UInt64 = 0
    /// The client, or this server, takes no further request.
    private(set) var isEnding = false

    init(export: NBDExport, limits: NBDLimits, agreement: NBDAgreement) {
        self.export = export
        self.limits = limits
        self.agreement = agreement
        writer = NBDReplyWriter(isStructured: agreement.isStructured)
    }

    /// Whether all that was asked is answered.
    var isIdle: Bool { requests.isEmpty && replies.isEmpty }

    /// Whether another request could be taken.
    func hasRoom(inFlight: Int) -> Bool {
        !isEnding && requests.count < limits.requestsInFlight && inFlight < limits.bytesInFlight
    }

    /// No further request is taken; those that were are answered.
    mutating func finish() { isEnding = true }

    /// - Parameter inFlight: bytes of the connection that are being read or written.
    mutating func next(_ input: inout ByteBuffer, inFlight: Int) -> Step? {
        while true {
            if let reply = replies.popFirst() { return .reply(reply) }
            if let id = beginning.first {
                if let request = requests[id] { return begin(id, request, inFlight: inFlight) }
                beginning.removeFirst()
                continue
            }
            guard hasRoom(inFlight: inFlight) else { return nil }
            if unwanted > 0 {
                dropUnwanted(&input)
                if unwanted > 0 { return nil }
                continue
            }
            switch NBDRequest.parse(&input) {
            case .needsMore: return nil
            case .malformed: return .end
            case .request(let request):
                guard take(request) else { return .end }
            }
        }
    }

    /// A piece was read, or could not be.
    mutating func completed(_ piece: NBDPiece, _ result: Result<[ByteBuffer], NBDError>) {
        guard var request = requests[piece.request] else { return }
        request.outstanding -= 1
        let error: NBDError?
        switch result {
        case .success(let data) where data.reduce(0) { $0 + $1.readableBytes } == piece.count:
            error = nil
            if request.kind != .cache {
                let head = writer.dataHead(
                    request.cookie, at: piece.offset, count: piece.count, isLast: request.isAnswered)
                replies.append(NBDReply(head: head, data: data, charge: piece.count))
            }
        case .success: error = .io
        case .failure(let reason): error = reason
        }
        if let error {
            // Nothing more is read for a request that has failed.
            request.hasFailed = true
            request.cursor = request.end
            if request.kind != .cache {
                let text = writer.failed(request.cookie, error, at: piece.offset, isLast: request.isAnswered)
                replies.append(NBDReply(head: text, charge: piece.count))
            }
        }
        if request.kind == .cache {
            let isLast = request.isAnswered
            let text = isLast ? writer.done(request.cookie, request.hasFailed ? .io : nil) : ByteBuffer()
            replies.append(NBDReply(head: text, charge: piece.count))
        }
        settle(piece.request, request)
    }

    private mutating func settle(_ id: UInt64, _ request: NBDOpenRequest) {
        requests[id] = request.isAnswered ? nil : request
        if request.cursor == request.end, let place = beginning.firstIndex(of: id) { beginning.remove(at: place) }
    }
}

// MARK: Requests

extension NBDTransmission {
    /// - Returns: false if the connection cannot go on.
    private mutating func take(_ request: NBDRequest) -> Bool {
        typealias Command = NBDProtocol.Command
        switch request.command {
        case Command.read: read(request)
        case Command.cache: cache(request)
        case Command.blockStatus: answer(blockStatus(request))
        case Command.flush: answer(writer.done(request.cookie, request.flags == 0 ? nil : .invalid))
        case Command.trim, Command.writeZeroes: answer(writer.done(request.cookie, .notPermitted))
        case Command.write:
            guard request.length <= limits.requestBytes else { return false }
            unwanted = Int(request.length)
            cookieOfUnwanted = request.cookie
            if unwanted == 0 { answer(writer.done(request.cookie, .notPermitted)) }
        case Command.disconnect: isEnding = true
        default: answer(writer.done(request.cookie, .invalid))
        }
        return true
    }

    private mutating func answer(_ text: ByteBuffer) { replies.append(NBDReply(head: text)) }

    private mutating func dropUnwanted(_ input: inout ByteBuffer) {
        let count = min(unwanted, input.readableBytes)
        input.moveReaderIndex(forwardBy: count)
        unwanted -= count
        if unwanted == 0 { answer(writer.done(cookieOfUnwanted, .notPermitted)) }
    }

    private func isValid(_ request: NBDRequest, flags: UInt16 = 0) -> Bool {
        request.flags & ~flags == 0 && request.length <= limits.requestBytes && request.isWithin(export.byteCount)
    }

    private mutating func read(_ request: NBDRequest) {
        let flags = agreement.isStructured ? NBDProtocol.CommandFlag.dontFragment : 0
        guard isValid(request, flags: flags) else { return answer(writer.failed(request.cookie, .invalid)) }
        guard request.length > 0 else { return answer(writer.nothing(request.cookie)) }
        open(request, agreement.isStructured && request.flags == 0 ? .fragments : .whole)
    }

    private mutating func cache(_ request: NBDRequest) {
        guard isValid(request), request.length > 0 else { return answer(writer.done(request.cookie, .invalid)) }
        open(request, .cache)
    }

    private mutating func open(_ request: NBDRequest, _ kind: NBDOpenRequest.Kind) {
        lastID += 1
        requests[lastID] = NBDOpenRequest(
            kind: kind, cookie: request.cookie, cursor: request.offset, end: request.offset + UInt64(request.length))
        beginning.append(lastID)
    }

    private func blockStatus(_ request: NBDRequest) -> ByteBuffer {
        guard agreement.hasAllocation, request.flags & ~NBDProtocol.CommandFlag.requestOne == 0, request.length > 0,
            request.isWithin(export.byteCount)
        else { return writer.failed(request.cookie, .invalid) }
        let most = request.flags == 0 ? Self.mostDescriptors : 1
        var extents: [DeviceStretch] = []
        var offset = request.offset
        let end = offset + UInt64(request.length)
        while offset < end, extents.count < most {
            let stretch = export.stretch(at: offset, atMost: end - offset, steps: Self.extentsAPiece)
            // At most as long as the request, whose length has 32 bits.
            extents.append(DeviceStretch(count: UInt32(stretch.count), isZero: stretch.isZero))
            offset += stretch.count
        }
        return writer.blockStatus(request.cookie, extents)
    }
}

// MARK: Pieces

extension NBDTransmission {
    /// Begins the next piece of a request, if there is room for it; a hole is answered at once.
    private mutating func begin(_ id: UInt64, _ request: NBDOpenRequest, inFlight: Int) -> Step? {
        var request = request
        let offset = request.cursor
        let rest = request.end - offset
        if request.kind == .fragments {
            let stretch = export.stretch(at: offset, atMost: rest, steps: Self.extentsAPiece)
            if stretch.isZero, stretch.count >= min(Self.leastHole, rest) {
                guard inFlight < limits.bytesInFlight else { return nil }
                request.cursor += stretch.count
                let isLast = request.isAnswered
                settle(id, request)
                return .reply(
                    NBDReply(
                        head: writer.hole(request.cookie, at: offset, count: Int(stretch.count), isLast: isLast)))
            }
        }
        let count = request.kind == .whole ? rest : pieceLength(at: offset, of: request)
        guard inFlight == 0 || inFlight + Int(count) <= limits.bytesInFlight else { return nil }
        request.cursor += count
        request.outstanding += 1
        lastID += 1
        settle(id, request)
        return .read(NBDPiece(id: lastID, request: id, offset: offset, count: Int(count)))
    }

    /// Up to the next hole that is worth a chunk of a reply, at most as long as a piece can be.
    private func pieceLength(at offset: UInt64, of request: NBDOpenRequest) -> UInt64 {
        let most = min(request.end - offset, Self.pieceBytes - offset % Self.pieceBytes)
        guard request.kind == .fragments else { return most }
        var count: UInt64 = 0
        for _ in 0..<Self.extentsAPiece where count < most {
            let stretch = export.stretch(at: offset + count, atMost: request.end - offset - count, steps: 2)
            if stretch.isZero, count > 0, stretch.count >= Self.leastHole { return min(count, most) }
            count += stretch.count
        }
        return most
    }
}
