internal import NIOHTTP1

/// What the header fields say about the framing of a request, found in one pass.
struct RequestFields: Hashable {
    private(set) var hosts = 0
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var wantsUpgrade = false
    private(set) var awaitsContinue = false
    private(set) var hasUnknownExpectation = false
    private(set) var lease = LeaseFields()

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers {
            // The length tells nearly all others apart, so that few names are compared.
            switch name.utf8.count {
            case 4 where name.matches("host"): hosts += 1
            case 6 where name.matches("expect"):
                if value.matches("100-continue") { awaitsContinue = true } else { hasUnknownExpectation = true }
            case 6 where name.matches("prefer"): lease.notePrefer(value)
            case 7 where name.matches("upgrade"): wantsUpgrade = true
            // The parser has refused a length that is no number, a second one, and both kinds of framing at once.
            case 14 where name.matches("content-length"): contentLength = Int(value) ?? .max
            case 16 where name.matches("layercache-lease"): lease.noteLease(value)
            case 17 where name.matches("transfer-encoding"): isChunked = true
            default: break
            }
        }
    }

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
