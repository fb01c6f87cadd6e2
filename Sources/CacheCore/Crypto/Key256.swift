/// A secret of 256 bits: the key of a cipher or of an authentication code, or a salt. A trivial value of 32 bytes.
///
/// It prints and dumps as nothing but its type, so that it cannot reach a log.
public struct Key256: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    private var bits: SHA256Digest

    /// A key that was derived: by HMAC, or read from where keys are kept.
    package init(_ bits: SHA256Digest) {
        self.bits = bits
    }

    /// The key that `body` writes to the 32 bytes that it is given; `nil` if it returns false.
    package init?(writtenBy body: (UnsafeMutableRawBufferPointer) -> Bool) {
        bits = .zero
        guard withUnsafeMutableBytes(of: &bits, body) else { return nil }
    }

    /// The bytes, for as long as `body` runs.
    package func withUnsafeBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try bits.withUnsafeBytes(body)
    }

    /// 64 hexadecimal digits in lower case, for the file of a keyring alone.
    package var hex: String { bits.hex }

    public var description: String { "Key256" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
