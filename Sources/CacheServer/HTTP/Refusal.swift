internal import CacheBase
internal import NIOHTTP1

/// A response that refuses a request: a status and one line for people.
struct Refusal: Error, Hashable {
    let status: HTTPResponseStatus
    let message: String
    /// The methods that would be allowed, for a 405.
    var allow: String?
    /// Whether the client may try again soon: adds `Retry-After`.
    var retry = false
    /// What the client must show to be let in, for `WWW-Authenticate`.
    var challenge: String?

    static func badRequest(_ message: String) -> Refusal { Refusal(status: .badRequest, message: message) }

    static func busy(_ message: String) -> Refusal {
        Refusal(status: .serviceUnavailable, message: message, retry: true)
    }

    static func notAllowed(_ allow: String) -> Refusal {
        Refusal(status: .methodNotAllowed, message: "method not allowed; use \(allow)", allow: allow)
    }

    static let tooManyReports = Refusal(
        status: .tooManyRequests, message: "too many reports that find nothing: try again", retry: true)

    static let unauthorized = Refusal(
        status: .unauthorized, message: "a valid token is needed: Authorization: Bearer TOKEN",
        challenge: "Bearer realm=\"layercache\"")

    static func forbidden(needing scope: String) -> Refusal {
        Refusal(
            status: .forbidden, message: "this token's scope is too small: this needs \(scope)",
            challenge: "Bearer realm=\"layercache\", error=\"insufficient_scope\", scope=\"\(scope)\"")
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
            self = .busy("the store is busy or closing: try again")
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
        status: HTTPResponseStatus, message: String, allow: String? = nil, retry: Bool = false,
        challenge: String? = nil
    ) {
        self.status = status
        self.message = message
        self.allow = allow
        self.retry = retry
        self.challenge = challenge
    }
}
