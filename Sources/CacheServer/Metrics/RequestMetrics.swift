internal import NIOHTTP1

/// What one event loop counts: plain integers, because nobody else touches them; they are summed when somebody asks.
struct RequestMetrics: Sendable {
    static let methods = ["GET", "HEAD", "PUT", "POST", "other"]
    static let statusClasses = ["1xx", "2xx", "3xx", "4xx", "5xx"]

    /// Responses by method (row) and status class (column).
    private(set) var responses = [Int](repeating: 0, count: methods.count * statusClasses.count)
    /// Bytes of request and response bodies.
    var bytesIn = 0
    var bytesOut = 0
    /// GETs and HEADs of chunks, by where the chunk was.
    var memoryHits = 0
    var diskHits = 0
    var misses = 0
    /// GETs that found a damaged chunk: dropped, and announced as a repair to the client.
    var damaged = 0
    /// PUTs by what became of them.
    var stored = 0
    var alreadyPresent = 0
    var refusedPuts = 0
    /// Ids asked about in `POST /v1/chunks/missing`.
    var idsAsked = 0
    /// Requests that the limits or the store turned away with 503 or 507, and connections turned away.
    var refusals = 0
    var refusedConnections = 0
    /// Requests that waited for room in flight.
    var waits = 0
    /// Connections and requests cut off because their time was over.
    var timeouts = 0
    /// Requests that were not HTTP.
    var malformed = 0
    /// Connections that ended in the middle of a request.
    var vanished = 0
    var connectionsAccepted = 0
    /// Connections that waited and gave way to new ones.
    var evictedConnections = 0
    /// Seconds from the first byte of a request until the kernel has taken its response.
    var getSeconds = Histogram()
    var putSeconds = Histogram()

    // The present, filled in when the counters are read.
    var openConnections = 0
    var bytesInFlight = 0
    var requestsInFlight = 0

    mutating func countResponse(_ method: HTTPMethod, _ status: HTTPResponseStatus) {
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

    func responses(method: Int, statusClass: Int) -> Int {
        responses[method * Self.statusClasses.count + statusClass]
    }

    var totalResponses: Int { responses.reduce(0, +) }

    mutating func add(_ other: RequestMetrics) {
        for index in responses.indices { responses[index] += other.responses[index] }
        for counter in Self.counters { self[keyPath: counter] += other[keyPath: counter] }
        getSeconds.add(other.getSeconds)
        putSeconds.add(other.putSeconds)
    }

    private static var counters: [WritableKeyPath<RequestMetrics, Int>] {
        [
            \.bytesIn, \.bytesOut, \.memoryHits, \.diskHits, \.misses, \.damaged, \.stored, \.alreadyPresent,
            \.refusedPuts, \.idsAsked, \.refusals, \.refusedConnections, \.waits, \.timeouts, \.malformed,
            \.vanished, \.connectionsAccepted, \.evictedConnections, \.openConnections, \.bytesInFlight,
            \.requestsInFlight,
        ]
    }
}
