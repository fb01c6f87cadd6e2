internal import NIOHTTP1

/// What one event loop counts: plain integers, because no other thread touches them. Readers get the sum over all event
/// loops.
struct RequestMetrics: Sendable {
    static let methods = ["GET", "HEAD", "PUT", "POST", "other"]
    static let statusClasses = ["1xx", "2xx", "3xx", "4xx", "5xx"]

    struct Requests: Sendable {
        /// Bytes of request and response bodies.
        var bytesIn = 0
        var bytesOut = 0
        /// Requests that waited for the in-flight budget.
        var waits = 0
        /// Requests that the limits or the store turned away with a status of 500 or above.
        var refused = 0
        /// Requests that were not HTTP.
        var malformed = 0
        /// Requests without a valid token, and with one of too small a scope.
        var unauthorized = 0
        var forbidden = 0
        /// Ids asked about in `POST /v1/chunks/missing`.
        var idsAsked = 0
    }

    /// GETs and HEADs of chunks, by where the chunk was.
    struct Reads: Sendable {
        var memoryHits = 0
        var diskHits = 0
        var misses = 0
        /// GETs that found parts of a chunk missing: dropped, and announced as a repair to the client.
        var damaged = 0
    }

    /// PUTs by what became of them.
    struct Puts: Sendable {
        var stored = 0
        var alreadyPresent = 0
        var refused = 0
    }

    struct Connections: Sendable {
        var accepted = 0
        /// Turned away because all others had something under way.
        var refused = 0
        /// Waited, and gave way to new ones.
        var evicted = 0
        /// Cut off, or their request refused, because their time was over.
        var timedOut = 0
        /// Ended by the client in the middle of a request.
        var vanished = 0
        /// Whose handshake of TLS failed.
        var handshakesFailed = 0
    }

    /// How much there is at the moment of reading.
    struct Present: Sendable {
        var connections = 0
        var bytesInFlight = 0
        var requestsInFlight = 0
    }

    /// Responses by method (row) and status class (column).
    private(set) var responses = [Int](repeating: 0, count: methods.count * statusClasses.count)
    /// Requests and connections that were turned away for want of room, by reason.
    private(set) var shed = [Int](repeating: 0, count: ShedReason.allCases.count)
    var requests = Requests()
    var reads = Reads()
    var puts = Puts()
    var connections = Connections()
    /// Seconds from the first byte of a request until the kernel has taken its response: of GETs by where the chunk
    /// was, and of PUTs.
    var memorySeconds = Histogram()
    var diskSeconds = Histogram()
    var putSeconds = Histogram()
    var present = Present()

    /// - Parameter method: `nil` for a response to what was no request.
    mutating func countResponse(_ method: HTTPMethod?, _ status: HTTPResponseStatus) {
        let row =
            switch method {
            case .GET: 0
            case .HEAD: 1
            case .PUT: 2
            case .POST: 3
            default: 4
            }
        responses[row * Self.statusClasses.count + min(max(Int(status.code) / 100, 1), 5) - 1] += 1
    }

    mutating func countShed(_ reason: ShedReason) {
        if let index = ShedReason.allCases.firstIndex(of: reason) { shed[index] += 1 }
    }

    func responses(method: Int, statusClass: Int) -> Int {
        responses[method * Self.statusClasses.count + statusClass]
    }

    var totalResponses: Int { responses.reduce(0, +) }

    mutating func add(_ other: RequestMetrics) {
        for index in responses.indices { responses[index] += other.responses[index] }
        for index in shed.indices { shed[index] += other.shed[index] }
        for counter in Self.counters { self[keyPath: counter] += other[keyPath: counter] }
        memorySeconds.add(other.memorySeconds)
        diskSeconds.add(other.diskSeconds)
        putSeconds.add(other.putSeconds)
    }

    private static var counters: [WritableKeyPath<RequestMetrics, Int>] {
        [
            \.requests.bytesIn, \.requests.bytesOut, \.requests.waits, \.requests.refused, \.requests.malformed,
            \.requests.idsAsked, \.requests.unauthorized, \.requests.forbidden, \.connections.handshakesFailed,
            \.reads.memoryHits, \.reads.diskHits, \.reads.misses, \.reads.damaged, \.puts.stored,
            \.puts.alreadyPresent, \.puts.refused, \.connections.accepted, \.connections.refused,
            \.connections.evicted, \.connections.timedOut, \.connections.vanished, \.present.connections,
            \.present.bytesInFlight, \.present.requestsInFlight,
        ]
    }
}
