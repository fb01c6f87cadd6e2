internal import CacheCore

/// What `--l2` names: one daemon, or a name of which each address is one.
enum L2Source: Hashable, Sendable {
    case daemon(L2Address)
    /// `dns+http://NAME:PORT` or `dns+https://NAME:PORT`.
    case name(L2Address)

    private static let prefix = "dns+"

    /// - Throws: `.invalidInput` for anything else.
    init(parsing url: String) throws(CacheError) {
        if url.hasPrefix(Self.prefix) {
            self = .name(try L2Address(parsing: String(url.dropFirst(Self.prefix.count))))
        } else {
            self = .daemon(try L2Address(parsing: url))
        }
    }

    var address: L2Address {
        switch self {
        case .daemon(let address), .name(let address): address
        }
    }
}
