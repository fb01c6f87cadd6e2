/// HKDF (RFC 5869) with SHA-256, for keys of 32 bytes: one block of output, salt of 32 zero bytes.
package enum HKDFSHA256 {
    /// The sub-key of `master` for the purpose that `info` names.
    package static func derive(from master: SecretKey, info: String) -> SecretKey {
        let extracted = master.bytes.withUnsafeBytes { HMACSHA256.authenticate(key: .zero, $0) }
        let block = Array(info.utf8) + [1]
        return SecretKey(block.withUnsafeBytes { HMACSHA256.authenticate(key: extracted, $0) })
    }
}
