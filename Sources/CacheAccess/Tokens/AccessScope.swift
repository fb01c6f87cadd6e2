/// What a bearer of a token may do at an L2 daemon. Each scope has what those before it have.
package enum AccessScope: UInt8, Sendable, Comparable, CaseIterable {
    /// Asks for chunks and numbers.
    case read = 1
    /// Puts chunks, too.
    case write = 2
    /// Everything.
    case admin = 3

    /// The scope of that name.
    package init?(_ name: some StringProtocol) {
        guard let scope = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = scope
    }

    package var name: String {
        switch self {
        case .read: "read"
        case .write: "write"
        case .admin: "admin"
        }
    }

    package static func < (left: AccessScope, right: AccessScope) -> Bool { left.rawValue < right.rawValue }
}
