public import CacheCrypto

/// The name of a sealed manifest: SHA-256 of its bytes.
public struct ManifestID: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let digest: SHA256Digest

    public init(_ digest: SHA256Digest) {
        self.digest = digest
    }

    /// Parses 64 hexadecimal digits in lower case; `nil` for anything else.
    public init?(hex: some StringProtocol) {
        guard let digest = SHA256Digest(hex: hex) else { return nil }
        self.init(digest)
    }

    public var hex: String { digest.hex }
    public var description: String { digest.hex }

    public static func < (left: ManifestID, right: ManifestID) -> Bool { left.digest < right.digest }
}
