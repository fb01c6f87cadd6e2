internal import CacheCore
internal import NIOCore
internal import NIOHTTP1

/// One request to the worker, whole.
struct AgentRequest: Sendable {
    let method: HTTPMethod
    let path: String
    /// Of the query, decoded.
    let parameters: [String: String]
    let body: ByteBuffer

    /// - Throws: `.invalidInput` for a query that is no UTF-8 or names something twice.
    init(_ head: HTTPRequestHead, body: ByteBuffer) throws(CacheError) {
        method = head.method
        self.body = body
        let parts = head.uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts.first ?? "")
        var parameters: [String: String] = [:]
        for pair in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(sides[0]), let value = Self.decoded(sides.count > 1 ? sides[1] : "") else {
                throw CacheError(.invalidInput, "the query is not percent-encoded UTF-8")
            }
            guard parameters.updateValue(value, forKey: name) == nil else {
                throw CacheError(.invalidInput, "the query has '\(name)' twice")
            }
        }
        self.parameters = parameters
    }

    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, let value = UInt8(String(Substring(digits)), radix: 16), value != 0 else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// What the worker answers.
struct AgentResponse: Sendable {
    let status: HTTPResponseStatus
    var contentType = "application/json"
    /// When to come again.
    var retryAfter: Duration?
    let body: [UInt8]

    init(status: HTTPResponseStatus, contentType: String, text: String) {
        self.status = status
        self.contentType = contentType
        body = Array(text.utf8)
    }

    init(_ status: HTTPResponseStatus, json value: some Encodable) throws {
        self.status = status
        body = try JSONDocument.encode(value) + [UInt8(ascii: "\n")]
    }

    /// `{"error": one line}`.
    init(_ status: HTTPResponseStatus, error: String) {
        self.status = status
        let body = try? JSONDocument.encode(["error": error])
        self.body = (body ?? Array("{}".utf8)) + [UInt8(ascii: "\n")]
    }

    init(_ error: any Error) {
        let code = (error as? CacheError)?.code
        self.init(code.map(Self.status) ?? .internalServerError, error: "\(error)")
        retryAfter = (error as? CacheError)?.retryAfter
    }

    private static func status(of code: CacheError.Code) -> HTTPResponseStatus {
        switch code {
        case .invalidInput: .badRequest
        case .key: .forbidden
        case .missing: .notFound
        case .conflict: .conflict
        case .limitExceeded: .payloadTooLarge
        case .unsupported: .notImplemented
        case .corrupt: .badGateway
        case .overloaded, .closed: .serviceUnavailable
        case .timedOut: .gatewayTimeout
        case .io: .internalServerError
        }
    }
}
