package import CacheCrypto

/// The key that all hosts that push share: it opens the salts of generations.
public struct DeploymentKey: Sendable {
    let master: Key256
    /// Wraps the salt of a generation.
    let wrapKey: Key256
    /// Stands in the state of a generation, unencrypted.
    public let id: KeyID

    package init(master: Key256) {
        self.master = master
        wrapKey = HKDFSHA256.derive(from: master, info: "layercache 1 salt wrap key")
        id = KeyID(of: master, purpose: "layercache 1 deployment key id")
    }
}
