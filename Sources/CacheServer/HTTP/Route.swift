internal import CacheChunks

/// What a request target names. Targets are compared byte by byte and never percent-decoded, so a chunk has exactly
/// one.
enum Route: Hashable {
    /// `/v1/chunks/{id}`
    case chunk(ChunkID)
    /// `/v1/chunks/{id}/lease`
    case lease(ChunkID)
    /// `/v1/chunks/{id}/damaged`
    case damaged(ChunkID)
    /// `/v1/chunks/missing`
    case missing
    /// Below `/v1/chunks/`, but neither an id nor `missing`.
    case malformed(String)
    /// Everything else: statistics, health, metrics, the page at `/`.
    case control(path: String)

    private static let chunks = "/v1/chunks/"
    private static let lease = "/lease"
    private static let damaged = "/damaged"

    static let page = Route.control(path: "/")

    /// Whether it needs no token: probes have none. By these names alone, byte by byte.
    var isPublic: Bool { self == .control(path: "/healthz") || self == .control(path: "/readyz") }

    /// Takes origin-form (`/path`) and absolute-form (`http://host/path`, `https://` likewise), as RFC 9112 section 3.2
    /// demands.
    init(target: String) {
        let path = Self.originForm(target)
        guard path.utf8.starts(with: Self.chunks.utf8) else {
            self = .control(path: String(path))
            return
        }
        let name = Substring(path.utf8.dropFirst(Self.chunks.utf8.count))
        if let id = ChunkID(hex: name) {
            self = .chunk(id)
        } else if name.hasSuffix(Self.lease), let id = ChunkID(hex: name.dropLast(Self.lease.count)) {
            self = .lease(id)
        } else if name.hasSuffix(Self.damaged), let id = ChunkID(hex: name.dropLast(Self.damaged.count)) {
            self = .damaged(id)
        } else if name == "missing" {
            self = .missing
        } else if name.utf8.contains(UInt8(ascii: "?")) {
            self = .malformed("unknown query: chunks take none")
        } else {
            self = .malformed("malformed id: a chunk's name is 64 hexadecimal digits in lower case")
        }
    }

    private static func originForm(_ target: String) -> Substring {
        guard target.utf8.first != UInt8(ascii: "/") else { return target[...] }
        let found = ["http://", "https://"].first { scheme in
            target.utf8.prefix(scheme.utf8.count).elementsEqual(scheme.utf8) { $0 | 0x20 == $1 | 0x20 }
        }
        guard let scheme = found else { return target[...] }
        let rest = target.utf8.dropFirst(scheme.utf8.count)
        guard let slash = rest.firstIndex(of: UInt8(ascii: "/")) else { return "/" }
        return Substring(rest[slash...])
    }
}
