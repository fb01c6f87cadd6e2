internal import COpenSSL

/// AES-256 in Galois/counter mode (NIST SP 800-38D): encrypts, and authenticates what it encrypts together with
/// associated data.
///
/// About 3.2 GB/s a core. A sealed box is `nonce (12) || ciphertext || tag (16)`; the nonce is random, which is safe
/// for 2^32 boxes a key.
package enum AES256GCM {
    package static let nonceBytes = 12
    package static let tagBytes = 16
    /// How much longer a box is than what it holds.
    package static let overhead = nonceBytes + tagBytes

    /// Writes a box of `plain.count + overhead` bytes to the start of `box`, under a fresh random nonce.
    package static func seal(
        _ plain: UnsafeRawBufferPointer, key: Key256, associated: UnsafeRawBufferPointer,
        into box: UnsafeMutableRawBufferPointer
    ) {
        SecureRandom.fill(UnsafeMutableRawBufferPointer(rebasing: box[..<nonceBytes]))
        seal(plain, key: key, nonceIn: box, associated: associated)
    }

    /// As above, under the nonce that is at the start of `box` already.
    package static func seal(
        _ plain: UnsafeRawBufferPointer, key: Key256, nonceIn box: UnsafeMutableRawBufferPointer,
        associated: UnsafeRawBufferPointer
    ) {
        precondition(box.count >= plain.count + overhead && plain.count <= maximumBytes)
        precondition(associated.count <= maximumBytes)
        let context = makeContext()
        defer { EVP_CIPHER_CTX_free(context) }
        var written: Int32 = 0
        let text = box.pointer(at: nonceBytes)
        let done =
            key.withUnsafeBytes {
                EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), nil, $0.pointer(at: 0), box.pointer(at: 0))
            } == 1
            && EVP_EncryptUpdate(context, nil, &written, associated.pointer(at: 0), Int32(associated.count)) == 1
            && EVP_EncryptUpdate(context, text, &written, plain.pointer(at: 0), Int32(plain.count)) == 1
            && Int(written) == plain.count
            && EVP_EncryptFinal_ex(context, box.pointer(at: nonceBytes + plain.count), &written) == 1
            && EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), box.pointer(at: nonceBytes + plain.count)) == 1
        precondition(done, "libcrypto failed to encrypt")
    }

    /// Opens a box into the start of `plain`, which has room for `box.count - overhead` bytes.
    /// - Returns: false if the box, the associated data or the key is not what it was made with; `plain` is of no use
    ///   then.
    package static func open(
        _ box: UnsafeRawBufferPointer, key: Key256, associated: UnsafeRawBufferPointer,
        into plain: UnsafeMutableRawBufferPointer
    ) -> Bool {
        let count = box.count - overhead
        guard count >= 0, count <= maximumBytes, associated.count <= maximumBytes else { return false }
        precondition(plain.count >= count)
        let context = makeContext()
        defer { EVP_CIPHER_CTX_free(context) }
        var written: Int32 = 0
        let tag = UnsafeMutableRawPointer(mutating: box.baseAddress?.advanced(by: nonceBytes + count))
        // Final writes nothing in this mode, but wants a place that is not null.
        return withUnsafeTemporaryAllocation(byteCount: 16, alignment: 1) { rest in
            key.withUnsafeBytes {
                EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), nil, $0.pointer(at: 0), box.pointer(at: 0))
            } == 1
                && EVP_DecryptUpdate(context, nil, &written, associated.pointer(at: 0), Int32(associated.count)) == 1
                && EVP_DecryptUpdate(
                    context, plain.pointer(at: 0), &written, box.pointer(at: nonceBytes), Int32(count)) == 1
                && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(tagBytes), tag) == 1
                && EVP_DecryptFinal_ex(context, rest.pointer(at: 0), &written) == 1
        }
    }

    /// What one call of libcrypto takes.
    private static let maximumBytes = Int(Int32.max)

    private static func makeContext() -> OpaquePointer {
        guard let context = EVP_CIPHER_CTX_new() else { preconditionFailure("libcrypto has no memory left") }
        return context
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func pointer(at offset: Int) -> UnsafePointer<UInt8>? {
        baseAddress?.advanced(by: offset).assumingMemoryBound(to: UInt8.self)
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate func pointer(at offset: Int) -> UnsafeMutablePointer<UInt8>? {
        baseAddress?.advanced(by: offset).assumingMemoryBound(to: UInt8.self)
    }
}
