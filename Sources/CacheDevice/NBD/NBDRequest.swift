internal import NIOCore

/// A request of a client as it came.
struct NBDRequest: Equatable {
    let flags: UInt16
    let command: UInt16
    /// The client's name for it, which its replies repeat.
    let cookie: UInt64
    let offset: UInt64
    let length: UInt32

    init(flags: UInt16 = 0, command: UInt16, cookie: UInt64, offset: UInt64, length: UInt32) {
        self.flags = flags
        self.command = command
        self.cookie = cookie
        self.offset = offset
        self.length = length
    }

    enum Parsed {
        case needsMore
        case request(NBDRequest)
        /// What came is no request, and where the next one would begin is unknown.
        case malformed
    }

    static func parse(_ input: inout ByteBuffer) -> Parsed {
        guard input.readableBytes >= NBDProtocol.requestBytes else { return .needsMore }
        guard input.readInteger(as: UInt32.self) == NBDProtocol.requestMagic,
            let (flags, command) = input.readMultipleIntegers(as: (UInt16, UInt16).self),
            let (cookie, offset, length) = input.readMultipleIntegers(as: (UInt64, UInt64, UInt32).self)
        else { return .malformed }
        return .request(
            NBDRequest(flags: flags, command: command, cookie: cookie, offset: offset, length: length))
    }

    /// Whether its range lies in a device of so many bytes.
    func isWithin(_ byteCount: UInt64) -> Bool {
        offset <= byteCount && UInt64(length) <= byteCount - offset
    }
}

/// A part of a request that is read from the device in one go.
struct NBDPiece: Equatable {
    /// Names it; no two pieces of a connection have the same one.
    let id: UInt64
    /// The request that it is a part of.
    let request: UInt64
    let offset: UInt64
    let count: Int
}

/// A READ or CACHE that is not answered in full.
struct NBDOpenRequest {
    enum Kind {
        /// Answered chunk by chunk, in any order, holes as holes.
        case fragments
        /// Answered by one reply with all of its data.
        case whole
        /// Its data are dropped: they are nearer then.
        case cache
    }

    let kind: Kind
    let cookie: UInt64
    /// Where the device's next piece begins, and where the request ends.
    var cursor: UInt64
    var end: UInt64
    /// Pieces that are being read.
    var outstanding = 0
    var hasFailed = false

    /// Nothing is left to begin or to wait for.
    var isAnswered: Bool { cursor == end && outstanding == 0 }
}
