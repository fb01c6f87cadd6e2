package import CacheChunks
package import CacheCrypto

/// The keys derived from a tenant's master key, each for one purpose (HKDF-SHA-256; docs/FORMAT.md, "Keyring").
public struct TenantKeys: Sendable {
    public let tenant: TenantName
    /// Wraps the data keys of manifests.
    let wrapKey: Key256
    /// Names the layers of this tenant in the index, so that other tenants cannot look one up.
    let indexKey: Key256
    /// Names and authenticates what a host remembers of this tenant's refs.
    let rememberKey: Key256
    /// Stands in for the salt where a host seals chunks that never leave it.
    let localKey: Key256
    /// Stands in manifests, unencrypted.
    public let id: KeyID

    package init(tenant: TenantName, master: Key256) {
        self.tenant = tenant
        wrapKey = HKDFSHA256.derive(from: master, info: "layercache 1 manifest wrap key")
        indexKey = HKDFSHA256.derive(from: master, info: "layercache 1 layer index key")
        rememberKey = HKDFSHA256.derive(from: master, info: "layercache 1 remembered ref key")
        localKey = HKDFSHA256.derive(from: master, info: "layercache 1 local salt")
        id = KeyID(of: master, purpose: "layercache 1 tenant key id")
    }

    /// The salt of chunks that a host makes for itself, and keeps to itself: workers have no salt of a generation.
    package var localSalt: GenerationSalt { GenerationSalt(localKey) }
}
