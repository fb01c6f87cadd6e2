/// HKDF (RFC 5869) with SHA-256, for keys of 32 bytes: one block of output, salt of 32 zero bytes.
package enum HKDFSHA256 {
    /// The sub-key of `master` for the purpose that `info` names.
    package static func derive(from master: Key256, info: String) -> Key256 {
        let extracted = master.withUnsafeBytes { HMACSHA256.authenticate(key: Key256(.zero), $0) }
        let block = Array(info.utf8) + [1]
        return Key256(block.withUnsafeBytes { HMACSHA256.authenticate(key: Key256(extracted), $0) })
    }
}
