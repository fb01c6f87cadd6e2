import CacheCore
import NIOCore
import Testing

@testable import CacheManifests

@Suite struct CryptoVectorTests {
    private func seal(_ plain: [UInt8], nonce: [UInt8], associated: [UInt8]) -> [UInt8] {
        var box = nonce + [UInt8](repeating: 0, count: plain.count + AES256GCM.tagBytes)
        plain.withUnsafeBytes { plain in
            associated.withUnsafeBytes { associated in
                box.withUnsafeMutableBytes {
                    AES256GCM.seal(plain, key: KnownAnswers.master, nonceIn: $0, associated: associated)
                }
            }
        }
        return box
    }

    private func open(_ box: [UInt8], associated: [UInt8], key: Key256 = KnownAnswers.master) -> [UInt8]? {
        var plain = [UInt8](repeating: 0, count: max(box.count - AES256GCM.overhead, 0))
        let opened = box.withUnsafeBytes { box in
            associated.withUnsafeBytes { associated in
                plain.withUnsafeMutableBytes { AES256GCM.open(box, key: key, associated: associated, into: $0) }
            }
        }
        return opened ? plain : nil
    }

    @Test func galoisCounterMode() {
        let plain = Array("attack at dawn".utf8)
        let box = seal(plain, nonce: Array(50..<62), associated: Array("header".utf8))
        #expect(KnownAnswers.hex(box) == KnownAnswers.gcm)
        #expect(open(box, associated: Array("header".utf8)) == plain)
        let empty = seal([], nonce: [UInt8](repeating: 0, count: 12), associated: [])
        #expect(KnownAnswers.hex(empty) == KnownAnswers.gcmEmpty)
        #expect(open(empty, associated: []) == [])
    }

    @Test func everyChangedBitIsSeen() {
        let box = KnownAnswers.bytes(KnownAnswers.gcm)
        let header = Array("header".utf8)
        for bit in 0..<box.count * 8 {
            var changed = box
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(open(changed, associated: header) == nil)
        }
        #expect(open(box, associated: Array("Header".utf8)) == nil)
        #expect(open(box, associated: header, key: Key256(.zero)) == nil)
        for count in 0..<box.count { #expect(open(Array(box.prefix(count)), associated: header) == nil) }
    }

    @Test func derivedKeys() throws {
        #expect(HKDFSHA256.derive(from: KnownAnswers.master, info: "some purpose").hex == KnownAnswers.hkdf)
        let keys = TenantKeys(tenant: try TenantName(parsing: "acme"), master: KnownAnswers.master)
        #expect(keys.wrapKey.hex == KnownAnswers.wrapKey)
        #expect(keys.indexKey.hex == KnownAnswers.indexKey)
        #expect(keys.localSalt.secret.hex == KnownAnswers.localSalt)
        #expect(keys.id.description == KnownAnswers.tenantID)
        #expect(KnownAnswers.deployment.wrapKey.hex == KnownAnswers.saltWrapKey)
        #expect(KnownAnswers.deployment.id.description == KnownAnswers.deploymentID)
    }

    @Test func secretsDoNotPrint() throws {
        let secret = KnownAnswers.digest(0..<32)
        let tenant = try TenantName(parsing: "acme")
        let values: [Any] = [
            Key256(secret), ChunkKey(Key256(secret)), GenerationSalt(secret),
            TenantKeys(tenant: tenant, master: Key256(secret)),
            DeploymentKey(master: Key256(secret)),
            Keyring(deploymentKey: KnownAnswers.deployment, masterKeys: [tenant: Key256(secret)], path: "x"),
            ChunkRef(
                id: ChunkID(.zero), key: ChunkKey(Key256(secret)), plainLength: 1, sealedLength: 1, codec: .raw),
        ]
        let secrets = [secret.hex, KnownAnswers.wrapKey, KnownAnswers.indexKey, KnownAnswers.saltWrapKey]
        for value in values {
            var dumped = ""
            dump(value, to: &dumped)
            for text in ["\(value)", String(reflecting: value), dumped] {
                #expect(!secrets.contains { text.contains($0) }, "\(text)")
                #expect(!text.contains("506097522914230528"), "\(text)")
            }
        }
    }
}
