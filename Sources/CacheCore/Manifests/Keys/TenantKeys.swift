package import CacheCrypto

/// What a tenant's master key opens: the keys derived from it, each for one purpose (HKDF-SHA-256; docs/FORMAT.md, "Keys").
public struct TenantKeys: Sendable {
    public let tenant: TenantName
    /// Wraps the data keys of manifests.
    let wrapKey: Key256
    /// Names the layers of this tenant in the index, so that nobody else can look one up.
    let indexKey: Key256
    /// Names and authenticates what a host remembers of this tenant's refs.
    let rememberKey: Key256
    /// Stands in manifests, in the open.
    public let id: KeyID

    package init(tenant: TenantName, master: Key256) {
        self.tenant = tenant
        wrapKey = HKDFSHA256.derive(from: master, info: "layercache 1 manifest wrap key")
        indexKey = HKDFSHA256.derive(from: master, info: "layercache 1 layer index key")
        rememberKey = HKDFSHA256.derive(from: master, info: "layercache 1 remembered ref key")
        id = KeyID(of: master, purpose: "layercache 1 tenant key id")
    }
}

/// The key that those who push share: it opens the salts of generations.
public struct DeploymentKey: Sendable {
    let master: Key256
    /// Wraps the salt of a generation.
    let wrapKey: Key256
    /// Stands in the state of a generation, in the open.
    public let id: KeyID

    package init(master: Key256) {
        self.master = master
        wrapKey = HKDFSHA256.derive(from: master, info: "layercache 1 salt wrap key")
        id = KeyID(of: master, purpose: "layercache 1 deployment key id")
    }
}
