internal import CacheCrypto

/// Identifies a key without revealing it: 16 bytes of an HMAC under the key. With it a wrong key can be told from
/// corruption.
public struct KeyID: Hashable, Sendable, CustomStringConvertible {
    package let high: UInt64
    package let low: UInt64

    static let byteCount = 16

    /// The first 16 bytes of HMAC-SHA-256 of `purpose` under `key`.
    init(of key: Key256, purpose: String) {
        var purpose = purpose
        let code = purpose.withUTF8 { HMACSHA256.authenticate(key: key, UnsafeRawBufferPointer($0)) }
        (high, low) = code.withUnsafeBytes {
            (
                UInt64(bigEndian: $0.loadUnaligned(as: UInt64.self)),
                UInt64(bigEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
            )
        }
    }

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// 32 hexadecimal digits.
    public var description: String {
        [high, low].map { word in
            let digits = String(word, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}
