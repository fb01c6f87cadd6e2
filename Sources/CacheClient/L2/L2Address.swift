internal import CacheCore
internal import FoundationEssentials

/// Where an L2 daemon listens: `http://HOST[:PORT]` or `https://HOST[:PORT]`.
struct L2Address: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// As it was given, without a slash at the end: what rendezvous hashing goes by.
    let description: String
    /// A name or an address, without the brackets of IPv6: what its certificate must be for.
    let host: String
    /// What to connect to: ``host``, or one of its addresses.
    let endpoint: String
    let port: Int
    /// What the `Host` header says.
    let authority: String
    /// Whether it speaks TLS.
    let isSecured: Bool

    /// - Throws: `.invalidInput` for anything else, now rather than at each read.
    init(parsing url: String) throws(CacheError) {
        let base = url.hasSuffix("/") ? String(url.dropLast()) : url
        let isSecured = base.hasPrefix("https://")
        let scheme = isSecured ? "https" : "http"
        let authority = String(base.dropFirst("\(scheme)://".count))
        guard let parts = URLComponents(string: base), parts.scheme == scheme, let host = parts.host, !host.isEmpty,
            (1...65_535).contains(parts.port ?? 80), parts.path.isEmpty, parts.query == nil, parts.user == nil,
            // A number that is too large for a port is none to Foundation.
            parts.port != nil || authority == host
        else {
            throw CacheError(
                .invalidInput,
                "L2 '\(url)' is not of the form http://HOST:PORT or https://HOST:PORT, or dns+http://NAME:PORT for all "
                    + "addresses of a name")
        }
        description = base
        self.host = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        endpoint = self.host
        port = parts.port ?? (isSecured ? 443 : 80)
        self.isSecured = isSecured
        self.authority = authority
    }

    /// One of the daemons behind a name, which still is what its certificate must be for.
    init(_ name: L2Address, at address: String) {
        let place = address.contains(":") ? "[\(address)]" : address
        description = "\(name.isSecured ? "https" : "http")://\(place):\(name.port)"
        host = name.host
        endpoint = address
        port = name.port
        authority = name.authority
        isSecured = name.isSecured
    }

    /// Whether what is sent there leaves this machine, as far as the name says it.
    var isRemote: Bool { host != "localhost" && host != "::1" && !host.hasPrefix("127.") }

    static func < (one: Self, other: Self) -> Bool { one.description < other.description }
}
