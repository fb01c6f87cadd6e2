public import CacheChunks
internal import CacheCrypto
public import CacheObjectStore

/// The names of all objects in L3, made in this one place.
///
///     generations/<g>/state
///     generations/<g>/chunks/<aa>/<id>
///     generations/<g>/manifests/<id>
///     generations/<g>/layers/<hmac>
///     generations/<g>/traces/<image manifest id>
///     refs/<tenant>/<name>/<tag>
public enum L3Layout {
    static let generations = "generations/"
    static let refs = "refs/"

    /// A sealed chunk. `<aa>` are the first two digits of its name.
    public static func chunk(_ id: ChunkID, in generation: Generation) -> ObjectKey {
        let hex = id.hex
        return key("\(generations)\(generation.name)/chunks/\(hex.prefix(2))/\(hex)")
    }

    /// A sealed manifest.
    public static func manifest(_ id: ManifestID, in generation: Generation) -> ObjectKey {
        key("\(generations)\(generation.name)/manifests/\(id.hex)")
    }

    /// The state of a generation.
    public static func state(of generation: Generation) -> ObjectKey {
        key("\(generations)\(generation.name)/state")
    }

    /// Where a tenant finds a layer that it has pushed before.
    static func layer(_ code: SHA256Digest, in generation: Generation) -> ObjectKey {
        key("\(generations)\(generation.name)/layers/\(code.hex)")
    }

    /// The trace of an image, by the image's manifest.
    static func trace(of image: ManifestID, in generation: Generation) -> ObjectKey {
        key("\(generations)\(generation.name)/traces/\(image.hex)")
    }

    /// What a reference names at the moment.
    public static func ref(_ reference: ImageReference) -> ObjectKey {
        key(refs(of: reference.tenant, name: reference.name) + reference.tag)
    }

    /// The start of the names of a tenant's references.
    static func refs(of tenant: TenantName) -> String {
        "\(refs)\(tenant)/"
    }

    /// As above, for one image name. A name of several components is one component here, joined by `~`, which no name
    /// has: the tags of `a/b` and the name `a/b/c` would meet otherwise.
    static func refs(of tenant: TenantName, name: String) -> String {
        refs(of: tenant) + String(name.map { $0 == "/" ? "~" : $0 }) + "/"
    }

    private static func key(_ text: String) -> ObjectKey {
        // All parts are values whose types admit nothing else than what a key admits.
        guard let key = ObjectKey(text) else { preconditionFailure("\(text) is no object key") }
        return key
    }
}
