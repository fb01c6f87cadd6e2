internal import CacheAccess
internal import CacheCore
internal import NIOCore
internal import NIOHTTP1

/// What is asked of an L2 daemon.
struct L2Request: Sendable {
    let method: HTTPMethod
    let path: String
    /// Header fields beside those of every request.
    var fields: [(String, String)] = []
    var body: ByteBuffer?
    /// Whether it goes before others that wait for a connection.
    var isUrgent = false
    /// How long it may be in line at the daemon, and who is told where it is; `nil` if it waits for no fill.
    var line: (longest: Duration, line: L2Line)?
    /// The most bytes that the body of the answer may have.
    let limit: Int
}

/// What it answers, whole.
struct L2Response: Sendable {
    let head: HTTPResponseHead
    let body: ByteBuffer
}

/// A request on its way through a connection, and who waits for the answer.
struct L2Exchange: Sendable {
    let request: L2Request
    let host: String
    /// The value of the `Authorization` field, if there is one.
    let authorization: String?
    let answer: EventLoopPromise<L2Response>
    /// Is called once the daemon has said that the request is in line, with the head that says so.
    let inLine: @Sendable (HTTPResponseHead) -> Void
}

/// Why a daemon does not do what this host asks for. One line, after the daemon's name.
struct L2Refusal: Error, Hashable, CustomStringConvertible {
    let description: String

    /// `nil` for a status that refuses nobody.
    init?(_ status: HTTPResponseStatus, hasToken: Bool) {
        switch status {
        case .unauthorized where hasToken: description = "it does not know this host's token (401): see --l2-token-file"
        case .unauthorized: description = "it asks for a token (401): give --l2-token-file"
        case .forbidden: description = "the scope of this host's token is too small for this (403): see --l2-token-file"
        default: return nil
        }
    }

    /// For a new connection that was closed when the first request had been sent. The reason, which TLS 1.3 has for a
    /// client only after the handshake, may get lost then.
    static let afterHandshake = L2Refusal(
        description: "it ended the connection after the handshake, as one does that asks for another client "
            + "certificate: see --l2-cert and --l2-key")

    private init(description: String) { self.description = description }
}

/// Why there was no answer. The raw values are for people.
enum L2Failure: String, Error, CustomStringConvertible {
    /// The daemon closed or reset the connection without a word, as it may do with one that was idle: worth one more
    /// try on another.
    case closedUnanswered = "it closed the connection without an answer"
    case closedInAnswer = "it closed the connection amid its answer"
    case late = "it did not answer in time"
    case tooLong = "its answer is too long"
    /// What it refused may not be what is in the files by now.
    case unsure = "it refused this host, whose files for it could not be looked at in time"
    /// Two requests at once on one connection.
    case busy = "the connection is in use"
    case closed = "its client was closed"

    var description: String { rawValue }

    /// Whether a connection was at its end already when it was written to or read from.
    static func isEndOfConnection(_ error: any Error) -> Bool {
        if TLSEvent.isAbruptEnd(error) { return true }
        if let error = error as? ChannelError { return [.ioOnClosedChannel, .outputClosed, .eof].contains(error) }
        guard let error = error as? IOError else { return false }
        return [.connectionReset, .brokenPipe].contains(Errno(rawValue: error.errnoCode))
    }
}
