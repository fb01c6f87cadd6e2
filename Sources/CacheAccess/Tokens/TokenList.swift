internal import CacheCrypto

/// The tokens that a daemon knows, as their hashes. An empty list refuses everybody.
///
/// All entries are compared with, always, and none of them in a way that depends on what is in it: how long it takes
/// says how many there are, and nothing else. At the most entries that there can be it takes about 10 us.
package struct TokenList: Sendable {
    package static let empty = TokenList([])

    /// The words of a hash.
    private typealias Words = SIMD4<UInt64>

    private let hashes: [Words]
    private let scopes: [UInt8]

    package init(_ entries: [TokenFile.Entry]) {
        hashes = entries.map { Self.words(of: $0.hash) }
        scopes = entries.map(\.scope.rawValue)
    }

    package var count: Int { hashes.count }

    private static func words(of hash: SHA256Digest) -> Words {
        hash.withUnsafeBytes { $0.loadUnaligned(as: Words.self) }
    }

    /// What the bearer of a token may do; `nil` if it is none of these.
    /// - Parameter presented: what a client calls its token, which may be anything.
    package func scope(of presented: some Collection<UInt8>) -> AccessScope? {
        guard presented.count == AccessToken.byteCount else { return nil }
        let hash = Self.words(of: AccessToken.hash(of: presented))
        let found = hashes.withUnsafeBufferPointer { hashes in
            scopes.withUnsafeBufferPointer { scopes in
                var found: UInt8 = 0
                for index in 0..<hashes.count {
                    let words = hash ^ hashes[index]
                    let difference = words[0] | words[1] | words[2] | words[3]
                    // 1 where there is none, without a branch.
                    let isSame = UInt8(truncatingIfNeeded: ~(difference | (0 &- difference)) >> 63)
                    found |= scopes[index] &* isSame
                }
                return found
            }
        }
        return AccessScope(rawValue: found)
    }
}
