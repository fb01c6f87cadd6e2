internal import CacheCore
internal import NIOCore
internal import NIOHTTP1

/// What is asked of an L2 daemon.
struct L2Request: Sendable {
    let method: HTTPMethod
    let path: String
    var body: ByteBuffer?
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
    let answer: EventLoopPromise<L2Response>
}

/// Why there was no answer.
enum L2Failure: Error, Equatable {
    /// The daemon closed or reset the connection without a word, as it may do with one that was idle: worth one more try on another.
    case closedUnanswered
    case closedInAnswer
    case late
    case tooLong
    case busy
    case closed

    /// Whether a connection was at its end already when it was written to or read from.
    static func isEndOfConnection(_ error: any Error) -> Bool {
        if let error = error as? ChannelError { return [.ioOnClosedChannel, .outputClosed, .eof].contains(error) }
        guard let error = error as? IOError else { return false }
        return [.connectionReset, .brokenPipe].contains(Errno(rawValue: error.errnoCode))
    }
}
