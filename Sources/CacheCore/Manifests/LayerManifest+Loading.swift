internal import CacheBase
public import CacheChunks
package import CacheObjectStore
internal import NIOCore

extension LayerManifest {
    /// Reads the manifest from L3 and opens it. One read; at most ``ManifestHeader/maximumBytes``.
    /// - Throws: `.missing` or `.corrupt` that names the object; `.key` if the tenant's key is another.
    package static func load(
        _ id: ManifestID, from store: any ObjectStore, generation: Generation, keys: TenantKeys
    ) async throws -> LayerManifest {
        try open(try await ManifestEnvelope.load(id, from: store, generation: generation), expecting: id, keys: keys)
    }

    /// All references of all streams, in order; chunks that occur twice are there twice.
    public var allRefs: [ChunkRef] { data + skeleton + entries }

    /// Each chunk that is stored, once.
    package var distinctRefs: Set<ChunkRef> { Set(allRefs.filter { !$0.isZero }) }

    /// Sealed bytes of the distinct chunks.
    public var storedBytes: Int { distinctRefs.reduce(0) { $0 + Int($1.sealedLength) } }
}

extension ImageManifest {
    /// As ``LayerManifest/load(_:from:generation:keys:)``.
    package static func load(
        _ id: ManifestID, from store: any ObjectStore, generation: Generation, keys: TenantKeys
    ) async throws -> ImageManifest {
        try open(try await ManifestEnvelope.load(id, from: store, generation: generation), expecting: id, keys: keys)
    }
}

extension ImageIndex {
    /// As ``LayerManifest/load(_:from:generation:keys:)``.
    package static func load(
        _ id: ManifestID, from store: any ObjectStore, generation: Generation, keys: TenantKeys, regionSlots: [Int]
    ) async throws -> ImageIndex {
        try open(
            try await ManifestEnvelope.load(id, from: store, generation: generation), expecting: id, keys: keys,
            regionSlots: regionSlots)
    }
}

extension ManifestEnvelope {
    /// The sealed bytes of a manifest.
    static func load(
        _ id: ManifestID, from store: any ObjectStore, generation: Generation
    ) async throws -> ByteBuffer {
        let object = L3Layout.manifest(id, in: generation)
        guard let stored = try await store.get(object, limit: ManifestHeader.maximumBytes) else {
            throw CacheError(.missing, "L3 object \(object) is gone: push the image again")
        }
        return stored.body
    }
}
