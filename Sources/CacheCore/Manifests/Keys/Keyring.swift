internal import CacheBase
internal import CacheCrypto

/// The keys that one host holds: of the tenants whose images it runs, and the deployment key if it pushes.
///
/// Kept in a JSON file that only its owner may read:
///
///     {"version": 1, "deploymentKey": "64 hexadecimal digits",
///      "tenants": [{"name": "acme", "key": "64 hexadecimal digits"}]}
///
/// `deploymentKey` is left out on a worker. There is no other copy of these keys: without the file, what they open is
/// lost.
public struct Keyring: Sendable {
    /// The key that those who push need; `nil` on a worker.
    public internal(set) var deploymentKey: DeploymentKey?
    var masterKeys: [TenantName: Key256]
    /// Where it was read from, for errors.
    let path: String
    /// A name in the file that this build does not know, and would lose if it wrote the file.
    var unknownName: String?

    /// Tenants that have a key here, sorted.
    public var tenants: [TenantName] { masterKeys.keys.sorted() }

    /// The keys of a tenant.
    /// - Throws: `.key` if they are not in this keyring.
    public func keys(for tenant: TenantName) throws -> TenantKeys {
        guard let master = masterKeys[tenant] else {
            throw CacheError(
                .key,
                "keyring \(path) has no key for tenant \(tenant): copy it from a host that has it, or make a new"
                    + " tenant's with: layercache keygen \(tenant) --keyring \(path)"
            )
        }
        return TenantKeys(tenant: tenant, master: master)
    }

    /// The deployment key.
    /// - Throws: `.key` if it is not in this keyring.
    public func requireDeploymentKey() throws -> DeploymentKey {
        guard let deploymentKey else {
            throw CacheError(
                .key, "keyring \(path) has no deployment key, which push needs: use the keyring of a host that pushes")
        }
        return deploymentKey
    }
}
