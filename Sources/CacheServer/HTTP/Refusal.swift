internal import CacheBase
internal import NIOHTTP1

/// A response that refuses a request: a status and one line for people.
struct Refusal: Error, Hashable {
    let status: HTTPResponseStatus
    let message: String
    /// The methods that would be allowed, for a 405.
    var allow: String?
    /// Why it was turned away for want of room, if that is why: it may try again soon, and `Retry-After` says when.
    var shed: ShedReason?
    /// What the client must show to be let in, for `WWW-Authenticate`.
    var challenge: String?
    /// Whether its body is the page, where people can type a token in.
    private(set) var showsPage = false

    static func badRequest(_ message: String) -> Refusal { Refusal(status: .badRequest, message: message) }

    static func busy(_ message: String, _ reason: ShedReason) -> Refusal {
        Refusal(status: .serviceUnavailable, message: message, shed: reason)
    }

    static let tooManyConnections = busy("too many connections: come again later", .connections)

    /// One client asks for more than its part, whatever the others do.
    static let tooManyAtOnce = Refusal(
        status: .tooManyRequests, message: "too many requests at a time on one connection: wait for their answers",
        shed: .pipelined)

    static let noRoom = busy("too many requests or bytes in flight: come again later", .inFlight)
    static let longLine = busy("the line for room in flight is too long: come again later", .forecast)

    /// Seconds after which a client that was turned away comes again: not all at the same moment.
    static let retryAfter = 1...3

    static func notAllowed(_ allow: String) -> Refusal {
        Refusal(status: .methodNotAllowed, message: "method not allowed; use \(allow)", allow: allow)
    }

    static let tooManyReports = Refusal(
        status: .tooManyRequests, message: "too many reports that find nothing: try again", shed: .reports)

    static let unauthorized = Refusal(
        status: .unauthorized, message: "a valid token is needed: Authorization: Bearer TOKEN",
        challenge: "Bearer realm=\"layercache\"")

    static func forbidden(needing scope: String) -> Refusal {
        Refusal(
            status: .forbidden, message: "this token's scope is too small: this needs \(scope)",
            challenge: "Bearer realm=\"layercache\", error=\"insufficient_scope\", scope=\"\(scope)\"")
    }

    func showingPage(_ showsPage: Bool) -> Refusal {
        var refusal = self
        refusal.showsPage = showsPage
        return refusal
    }

    static func tooLarge(_ what: String, limit: Int) -> Refusal {
        Refusal(status: .payloadTooLarge, message: "\(what) is longer than \(limit) bytes")
    }

    /// The answer to a client whose request the store failed.
    /// - Parameter writing: whether the store failed to take a chunk. Then a failure of the disk is answered like a
    ///   full disk, with 507.
    init(_ error: any Error, writing: Bool) {
        switch (error as? CacheError)?.code {
        case .overloaded, .closed, .timedOut, .conflict:
            self = .busy("the store is busy or closing: try again", .store)
        case .io where writing:
            self.init(
                status: .insufficientStorage, message: "the store cannot take the chunk: its disk is full or failing")
        default:
            self.init(status: .internalServerError, message: "the store failed; its log says why")
        }
    }

    /// The answer to input that the request parser refused.
    init(_ error: HTTPParserError) {
        switch error {
        case .headerOverflow:
            self.init(
                status: .requestHeaderFieldsTooLarge, message: "the request line or the header fields are too long")
        case .invalidVersion:
            self.init(status: .httpVersionNotSupported, message: "only HTTP/1.0 and HTTP/1.1 are spoken here")
        case .invalidEOFState:
            self = .badRequest("the request ends before its declared length")
        default:
            self = .badRequest("malformed HTTP request")
        }
    }

    init(
        status: HTTPResponseStatus, message: String, allow: String? = nil, shed: ShedReason? = nil,
        challenge: String? = nil
    ) {
        self.status = status
        self.message = message
        self.allow = allow
        self.shed = shed
        self.challenge = challenge
    }
}
