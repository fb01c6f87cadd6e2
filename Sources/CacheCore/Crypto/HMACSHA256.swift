internal import COpenSSL

/// HMAC-SHA-256 (RFC 2104) with a 32-byte key.
package enum HMACSHA256 {
    /// The code of `message`; about 2 us for a short one.
    package static func authenticate(key: Key256, _ message: UnsafeRawBufferPointer) -> SHA256Digest {
        var code = SHA256Digest.zero
        var length: UInt32 = 0
        let done = withUnsafeMutableBytes(of: &code) { out in
            key.withUnsafeBytes { key in
                HMAC(
                    EVP_sha256(), key.baseAddress, Int32(key.count),
                    message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count,
                    out.baseAddress?.assumingMemoryBound(to: UInt8.self), &length)
            }
        }
        precondition(done != nil && Int(length) == SHA256Digest.byteCount, "libcrypto failed to authenticate")
        return code
    }
}
