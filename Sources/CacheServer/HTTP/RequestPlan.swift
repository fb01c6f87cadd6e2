internal import CacheAccess
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
        /// A client has got bytes that are not the chunk of that id.
        case damaged(ChunkID)
        /// Its holder gives a lease up.
        case giveUp(ChunkID)
        /// Whether a lease is still the asker's.
        case checkLease(ChunkID)
        case control(path: String)
        /// The page for people.
        case page
        /// In memory of its own, so that a plan is small: each request copies it.
        indirect case refuse(Refusal)
    }

    private(set) var operation: Operation
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
    /// Whether the client may put what it misses: who may not gets no lease, which would only hold others up.
    let mayFill: Bool
    /// Whether the client may read at least: it is told what workers are told.
    let isLetIn: Bool

    /// Whether it asks about the daemon, not for chunks.
    var isControl: Bool {
        switch operation {
        case .control, .page: true
        default: false
        }
    }

    /// - Parameter tokens: of which the client must have one; `nil` where none is asked for.
    init(_ head: HTTPRequestHead, limits: ServerLimits, tokens: TokenList? = nil) {
        let fields = RequestFields(head.headers)
        method = head.method
        isVersion10 = head.version.minor == 0
        hasBody = fields.hasBody
        lease = fields.lease
        declaredLength = fields.contentLength
        awaitsContinue = fields.awaitsContinue && !isVersion10
        let route = head.uri.utf8.count > limits.targetBytes ? nil : Route(target: head.uri)
        bodyLimit = route == .missing ? limits.missingIDs * SHA256Digest.byteCount : limits.chunkBytes
        // First of all, so that a client without a token learns nothing: not even what is malformed.
        let scope = tokens.flatMap { tokens in fields.token.flatMap { tokens.scope(of: $0.utf8) } }
        let denial = tokens == nil ? nil : Self.denial(head.method, route, scope)
        isLetIn = tokens == nil || scope != nil
        mayFill = tokens == nil || (scope ?? .read) >= .write
        // The parser stops at a request that asks for another protocol; none is offered, so such a connection ends. So
        // does one of a client that is not known, which is to cost no place.
        keepAlive =
            head.isKeepAlive && !fields.wantsUpgrade && head.method != .CONNECT && denial?.status != .unauthorized
        do throws(Refusal) {
            if let denial { throw denial.showingPage(route == .page && fields.wantsHTML) }
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
        case (.damaged(let id), .POST):
            try checkNoBody(fields)
            return .damaged(id)
        case (.damaged, _):
            throw .notAllowed("POST")
        case (.lease(let id), .DELETE):
            try checkNoBody(fields)
            return .giveUp(id)
        case (.lease(let id), .GET):
            try checkNoBody(fields)
            return .checkLease(id)
        case (.lease, _):
            throw .notAllowed("GET, DELETE")
        case (.page, .GET) where fields.wantsHTML, (.page, .HEAD) where fields.wantsHTML:
            try checkNoBody(fields)
            return .page
        case (.control(let path), .GET), (.control(let path), .HEAD):
            try checkNoBody(fields)
            return .control(path: path)
        case (.control, _):
            throw .notAllowed("GET, HEAD")
        }
    }

    /// The chunk of a GET or HEAD; `nil` if it is anything else.
    var chunkRead: ChunkID? {
        switch operation {
        case .get(let id), .head(let id): id
        default: nil
        }
    }

    /// The same GET or HEAD for another chunk.
    func asking(for id: ChunkID) -> RequestPlan {
        var plan = self
        switch operation {
        case .get: plan.operation = .get(id)
        case .head: plan.operation = .head(id)
        default: break
        }
        return plan
    }

    /// Why the client may not do this; `nil` if it may.
    private static func denial(
        _ method: HTTPMethod, _ route: Route?, _ scope: AccessScope?
    ) -> Refusal? {
        if route?.isPublic == true { return nil }
        guard let scope else { return .unauthorized }
        let isForFillers =
            switch route {
            case .lease, .damaged: true
            case .chunk, .missing, .malformed, .control, nil: false
            }
        let needed: AccessScope = method == .PUT || isForFillers ? .write : .read
        return scope < needed ? .forbidden(needing: needed.name) : nil
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
