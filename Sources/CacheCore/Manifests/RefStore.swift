internal import CacheBase
public import CacheObjectStore

/// The references of all tenants, as small objects that change by compare-and-swap.
public struct RefStore: Sendable {
    let store: any ObjectStore
    private static let maximumTries = 16

    public init(_ store: any ObjectStore) {
        self.store = store
    }

    /// What the reference names now; `nil` if there is none of that name. One read.
    /// - Throws: `.corrupt` or `.unsupported` that names the object.
    public func read(_ reference: ImageReference) async throws -> RefRecord? {
        let object = L3Layout.ref(reference)
        return try await store.get(object, limit: RefRecord.maximumBytes).map {
            try RefRecord(decoding: $0.body, object: object)
        }
    }

    /// Makes the reference name `record`, whatever it named before; durable on return. A damaged record is replaced
    /// like any other: pushing again is the way out of it. One of a newer version never is.
    /// - Throws: `.conflict` if others change it faster than this can; `.unsupported`.
    public func set(_ reference: ImageReference, to record: RefRecord) async throws {
        let object = L3Layout.ref(reference)
        for _ in 0..<Self.maximumTries {
            let version = try await store.head(object)?.version
            // Read after its version: if another writer changes it from here on, `replace` finds another version and
            // refuses.
            try await refuseNewer(reference)
            if try await store.replace(object, record.encoded(), expecting: version) != nil { return }
        }
        throw CacheError(.conflict, "reference \(reference) is being changed by others all the time: try again")
    }

    /// Whether ``set(_:to:)`` may replace what there is; before the work that leads there.
    /// - Throws: `.unsupported` that names the object if a newer version of this program has written it.
    public func refuseNewer(_ reference: ImageReference) async throws {
        let object = L3Layout.ref(reference)
        guard let start = try await store.get(object, range: 0..<RefRecord.versionedBytes),
            let version = RefRecord.newerVersion(start)
        else { return }
        throw CacheError(
            .unsupported,
            "\(reference) was set by a newer layercache (object \(object) has format version \(version)) and is not"
                + " replaced: use that one, or another name"
        )
    }

    /// Removes the reference; its image stays until its generation is collected. False if there was none.
    public func remove(_ reference: ImageReference) async throws -> Bool {
        let object = L3Layout.ref(reference)
        guard try await store.get(object, range: 0..<0) != nil else { return false }
        try await store.delete(object)
        return true
    }

    /// One page of tenants that have references, sorted. Give `next` as `after` for the following page.
    public func tenants(after: String? = nil, limit: Int = 1000) async throws -> (names: [TenantName], next: String?) {
        let page = try await store.list(prefix: L3Layout.refs, delimiter: true, after: after, limit: limit)
        return (page.prefixes.compactMap { TenantName(Self.lastComponent($0)) }, page.next)
    }

    /// One page of the image names of a tenant, in the order of their objects: `/` comes after all letters.
    public func names(
        of tenant: TenantName, after: String? = nil, limit: Int = 1000
    ) async throws -> (names: [String], next: String?) {
        let page = try await store.list(
            prefix: L3Layout.refs(of: tenant), delimiter: true, after: after, limit: limit)
        return (page.prefixes.map(Self.imageName).filter(ImageReference.isName), page.next)
    }

    /// One page of the references to one image name, one a tag.
    public func tags(
        of tenant: TenantName, name: String, after: String? = nil, limit: Int = 1000
    ) async throws -> (references: [ImageReference], next: String?) {
        let prefix = L3Layout.refs(of: tenant, name: name)
        let page = try await store.list(prefix: prefix, delimiter: true, after: after, limit: limit)
        let tags = page.objects.map { String($0.key.rawValue.dropFirst(prefix.count)) }.filter(ImageReference.isTag)
        return (try tags.map { try ImageReference(tenant: tenant, name: name, tag: $0) }, page.next)
    }

    /// The name of an image whose tags are below `prefix`, see ``L3Layout``.
    static func imageName(_ prefix: String) -> String {
        String(lastComponent(prefix).map { $0 == "~" ? "/" : $0 })
    }

    static func lastComponent(_ name: String) -> String {
        String(name.split(separator: "/").last ?? "")
    }
}
