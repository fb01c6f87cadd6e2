internal import CacheChunks
internal import CacheCrypto
internal import NIOHTTP1

/// What is to be done about a request, decided from its head alone and before any of its body is read.
struct RequestPlan {
    enum Operation {
        case get(ChunkID)
        case head(ChunkID)
        case put(ChunkID)
        case missing
        /// Its holder gives a lease up.
        case giveUp(ChunkID)
        case control(path: String)
        case refuse(Refusal)
    }

    let operation: Operation
    let method: HTTPMethod
    let keepAlive: Bool
    /// Whether the request is HTTP/1.0, where a response must say that the connection is kept: by default it is closed.
    let isVersion10: Bool
    /// Whether a body follows. A refusal must then end the connection, because it would have to read the whole body
    /// otherwise.
    let hasBody: Bool
    /// The length of the body, if the client has told it.
    let declaredLength: Int?
    /// The most bytes of body that will be taken.
    let bodyLimit: Int
    let awaitsContinue: Bool
    let lease: LeaseFields

    /// Whether it asks about the daemon, not for chunks.
    var isControl: Bool {
        if case .control = operation { true } else { false }
    }

    init(_ head: HTTPRequestHead, limits: ServerLimits) {
        let fields = RequestFields(head.headers)
        method = head.method
        isVersion10 = head.version.minor == 0
        // The parser stops at a request that asks for another protocol; none is offered, so such a connection ends.
        keepAlive = head.isKeepAlive && !fields.wantsUpgrade && head.method != .CONNECT
        hasBody = fields.hasBody
        lease = fields.lease
        declaredLength = fields.contentLength
        awaitsContinue = fields.awaitsContinue && !isVersion10
        // Authentication, when it comes, is decided here: the head is all it needs, and no body has been read.
        let route = head.uri.utf8.count > limits.targetBytes ? nil : Route(target: head.uri)
        bodyLimit = route == .missing ? limits.missingIDs * SHA256Digest.byteCount : limits.chunkBytes
        do throws(Refusal) {
            guard let route else {
                throw Refusal(
                    status: .uriTooLong, message: "the request target is longer than \(limits.targetBytes) bytes")
            }
            guard isVersion10 || fields.hosts == 1 else { throw .badRequest("a request needs one Host field") }
            guard !fields.hasUnknownExpectation else {
                throw Refusal(status: .expectationFailed, message: "the only expectation met here is 100-continue")
            }
            operation = try Self.operation(head.method, route, fields, bodyLimit: bodyLimit)
        } catch {
            operation = .refuse(error)
        }
    }

    private static func operation(
        _ method: HTTPMethod, _ route: Route, _ fields: RequestFields, bodyLimit: Int
    ) throws(Refusal) -> Operation {
        switch (route, method) {
        case (.malformed(let message), _):
            throw .badRequest(message)
        case (.chunk(let id), .PUT):
            try checkBody(fields, "the chunk", limit: bodyLimit)
            guard fields.hasBody else { throw .badRequest("an empty body is no chunk") }
            return .put(id)
        case (.missing, .POST):
            try checkBody(fields, "the list of ids", limit: bodyLimit)
            return .missing
        case (.missing, _):
            throw .notAllowed("POST")
        case (.chunk(let id), .GET):
            try checkNoBody(fields)
            return .get(id)
        case (.chunk(let id), .HEAD):
            try checkNoBody(fields)
            return .head(id)
        case (.chunk, _):
            throw .notAllowed("GET, HEAD, PUT")
        case (.lease(let id), .DELETE):
            try checkNoBody(fields)
            return .giveUp(id)
        case (.lease, _):
            throw .notAllowed("DELETE")
        case (.control(let path), .GET), (.control(let path), .HEAD):
            try checkNoBody(fields)
            return .control(path: path)
        case (.control, _):
            throw .notAllowed("GET, HEAD")
        }
    }

    private static func checkBody(_ fields: RequestFields, _ what: String, limit: Int) throws(Refusal) {
        guard fields.isChunked || fields.contentLength != nil else {
            throw Refusal(status: .lengthRequired, message: "\(what) needs a Content-Length")
        }
        if let length = fields.contentLength, length > limit { throw .tooLarge(what, limit: limit) }
    }

    /// Refuses a body: RFC 9110 section 9.3.1 gives that of a GET no meaning and lets a server refuse it, as it is a
    /// way to smuggle requests.
    private static func checkNoBody(_ fields: RequestFields) throws(Refusal) {
        guard !fields.hasBody else { throw .badRequest("this request takes no body") }
    }
}
