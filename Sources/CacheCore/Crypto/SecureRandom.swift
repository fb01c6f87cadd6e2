internal import COpenSSL

/// Random bytes for keys and nonces, from the generator of libcrypto.
package enum SecureRandom {
    /// Fills `bytes`.
    package static func fill(_ bytes: UnsafeMutableRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        let status = RAND_bytes(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(bytes.count))
        // Going on with bytes that are not random would give keys away.
        precondition(status == 1, "libcrypto has no random bytes")
    }

    /// 32 fresh random bytes.
    package static func key() -> Key256 {
        var bits = SHA256Digest.zero
        withUnsafeMutableBytes(of: &bits) { fill($0) }
        return Key256(bits)
    }
}
