package import CacheBase
package import CacheCrypto

/// A bearer token: `lct_` and 64 hexadecimal digits of 256 random bits. The prefix lets scanners for secrets know it.
///
/// Nobody can guess so many bits, so a plain SHA-256 is all that has to be kept of it: there is nothing to slow down.
/// It prints as nothing but its type, so that it cannot reach a log.
package struct AccessToken: Sendable, CustomStringConvertible, CustomReflectable {
    private static let prefix = "lct_"
    /// Bytes of every token.
    static let byteCount = prefix.utf8.count + 2 * SHA256Digest.byteCount

    /// The token itself, for a request or for the one who asked for it.
    package let text: String

    /// A new one.
    package static func make() -> AccessToken { AccessToken(text: prefix + SecureRandom.key().hex) }

    private init(text: String) {
        self.text = text
    }

    /// Takes a token from a file. Space and line ends around it do not count.
    ///
    /// - Parameter path: for the error, which repeats nothing of what is in the file.
    package init(file bytes: [UInt8], path: String) throws(CacheError) {
        func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
        let start = bytes.firstIndex { !isSpace($0) } ?? bytes.endIndex
        let end = bytes.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? start
        let text = String(decoding: bytes[start..<end], as: UTF8.self)
        guard text.hasPrefix(Self.prefix), SHA256Digest(hex: text.dropFirst(Self.prefix.count)) != nil else {
            throw CacheError(
                .invalidInput,
                "token file \(path) has no token in it: write there what 'layercache token add' has printed")
        }
        self.text = text
    }

    /// What is kept of it.
    package var hash: SHA256Digest { Self.hash(of: text.utf8) }

    static func hash(of text: some Collection<UInt8>) -> SHA256Digest {
        text.withContiguousStorageIfAvailable { SHA256Digest(hashing: UnsafeRawBufferPointer($0)) }
            ?? Array(text).withUnsafeBytes { SHA256Digest(hashing: $0) }
    }

    package var description: String { "AccessToken" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
