internal import NIOCore
internal import NIOHTTP1

/// What has come from a client and is not dealt with yet.
struct ConnectionInput {
    private var parts = CircularBuffer<HTTPServerRequestPart>()
    private let limit: Int
    /// What is wrong with the input after all of its parts that wait.
    var failure: Refusal?
    /// When the first bytes of a head came that is not complete yet.
    var headStarted: NIODeadline?
    /// Whether bytes, and parts, came since the last read of the socket was over.
    var hasBytes = false
    var hasParts = false
    /// Whether a read of the socket was asked for and waits until the request under way is answered.
    var isReadHeld = false
    var isEnded = false

    /// - Parameter limit: the most parts that wait.
    init(limit: Int) {
        self.limit = limit
    }

    /// Has a part wait; once the limit is reached, it and all that follow are dropped for a refusal.
    mutating func enqueue(_ part: HTTPServerRequestPart) {
        guard failure == nil else { return }
        if parts.count < limit {
            parts.append(part)
        } else {
            failure = .tooManyAtOnce
        }
    }

    mutating func next() -> HTTPServerRequestPart? { parts.popFirst() }

    /// Whether parts wait.
    var hasMore: Bool { !parts.isEmpty }

    /// Drops all that waits: no request is taken any more.
    mutating func drop() {
        parts.removeAll()
        headStarted = nil
    }

    /// Whether a read that was held back is to be made now.
    mutating func releaseRead() -> Bool {
        defer { isReadHeld = false }
        return isReadHeld
    }
}
