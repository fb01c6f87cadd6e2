internal import CacheCrypto

/// The tokens that a daemon knows, as their hashes. An empty list refuses everybody.
///
/// All entries are compared with, always, and none of them in a way that depends on what is in it: how long it takes
/// says how many there are, and nothing else. At the most entries that there can be it takes about 10 us.
package struct TokenList: Sendable {
    package static let empty = TokenList([])

    private let hashes: [SHA256Digest]
    private let scopes: [UInt8]

    package init(_ entries: [TokenFile.Entry]) {
        hashes = entries.map(\.hash)
        scopes = entries.map(\.scope.rawValue)
    }

    package var count: Int { hashes.count }

    /// What the bearer of a token may do; `nil` if it is none of these.
    /// - Parameter presented: what a client calls its token, which may be anything.
    package func scope(of presented: some Collection<UInt8>) -> AccessScope? {
        guard presented.count == AccessToken.byteCount else { return nil }
        let hash = AccessToken.hash(of: presented)
        var found: UInt8 = 0
        for index in hashes.indices {
            let difference = hash.difference(from: hashes[index])
            // 1 where there is none, without a branch.
            let isSame = UInt8(truncatingIfNeeded: ~(difference | (0 &- difference)) >> 63)
            found |= scopes[index] &* isSame
        }
        return AccessScope(rawValue: found)
    }
}
