internal import NIOHTTP1

/// What the header fields say about the framing of a request, found in one pass.
struct RequestFields: Hashable {
    private(set) var hosts = 0
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var wantsUpgrade = false
    private(set) var awaitsContinue = false
    private(set) var hasUnknownExpectation = false
    /// The first `Accept` field.
    private var accept: String?
    /// What the client says that its token is. Nothing where it says two things.
    private(set) var token: Substring?
    private var authorizations = 0
    private(set) var lease = LeaseFields()

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers {
            // The length tells nearly all others apart, so that few names are compared.
            switch name.utf8.count {
            case 4 where name.matches("host"): hosts += 1
            case 6 where name.matches("expect"):
                if value.matches("100-continue") { awaitsContinue = true } else { hasUnknownExpectation = true }
            case 6 where name.matches("accept"): accept = accept ?? value
            case 6 where name.matches("prefer"): lease.notePrefer(value)
            case 7 where name.matches("upgrade"): wantsUpgrade = true
            // The parser has refused a length that is no number, a second one, and both kinds of framing at once.
            case 13 where name.matches("authorization"):
                authorizations += 1
                token = authorizations == 1 ? Self.token(value) : nil
            case 14 where name.matches("content-length"): contentLength = Int(value) ?? .max
            case 16 where name.matches("layercache-lease"): lease.noteLease(value)
            case 17 where name.matches("transfer-encoding"): isChunked = true
            case 17 where name.matches("layercache-worker"): lease.noteWorker(value)
            default: break
            }
        }
    }

    /// What stands after `Bearer` (RFC 6750 section 2.1), in any case, and spaces.
    private static func token(_ value: String) -> Substring? {
        let scheme = value.utf8.prefix { $0 != UInt8(ascii: " ") }
        guard String(Substring(scheme)).matches("bearer") else { return nil }
        let rest = value.utf8[scheme.endIndex...].drop { $0 == UInt8(ascii: " ") }
        // The parser leaves the space after a field's value where it is.
        let end = rest.lastIndex { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
        return Substring(end.map { rest[...$0] } ?? rest)
    }

    /// Whether the client is a browser that shows what it gets: others name no HTML.
    var wantsHTML: Bool { accept?.contains("text/html") ?? false }

    var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }
}

extension String {
    /// Whether this is `lowercase` but for the case of ASCII letters.
    fileprivate func matches(_ lowercase: StaticString) -> Bool {
        guard utf8.count == lowercase.utf8CodeUnitCount else { return false }
        let expected = UnsafeBufferPointer(start: lowercase.utf8Start, count: lowercase.utf8CodeUnitCount)
        return utf8.elementsEqual(expected) { $0 == $1 || ($0 | 0x20 == $1 && (0x41...0x5A).contains($0)) }
    }
}
