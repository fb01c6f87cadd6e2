internal import CacheBase
package import CacheObjectStore

/// The traces of images, as small objects that change by compare-and-swap. Losing one costs nothing but time.
package struct TraceStore: Sendable {
    private let store: any ObjectStore
    private static let maximumTries = 8

    package init(_ store: any ObjectStore) {
        self.store = store
    }

    /// The trace of an image; `nil` if there is none. One read.
    /// - Throws: as ``ImageTrace/open(_:of:in:keys:)``, and as the store does.
    package func read(of image: ManifestID, in generation: Generation, keys: TenantKeys) async throws -> ImageTrace? {
        let object = L3Layout.trace(of: image, in: generation)
        // Reading a range spares the store a hash; one byte more than any trace has tells one that is too long.
        guard let sealed = try await store.get(object, range: 0..<ImageTrace.maximumBytes + 1) else { return nil }
        return try ImageTrace.open(sealed, of: image, in: generation, keys: keys)
    }

    /// Replaces the trace of an image by what `change` makes of it. One that is damaged counts as none.
    ///
    /// - Parameter change: gives the new trace for the present one, or `nil` to leave that as it is. May be called
    ///   several times.
    /// - Returns: whether anything was written.
    /// - Throws: `.unsupported` for a trace of a newer version, `.conflict` if others change it faster than this can.
    package func update(
        of image: ManifestID, in generation: Generation, keys: TenantKeys,
        _ change: (ImageTrace?) -> ImageTrace?
    ) async throws -> Bool {
        let object = L3Layout.trace(of: image, in: generation)
        for _ in 0..<Self.maximumTries {
            // Asked for before the trace is read: if another writer changes it from here on, `replace` refuses.
            let version = try await store.head(object)?.version
            var present: ImageTrace?
            if version != nil {
                do { present = try await read(of: image, in: generation, keys: keys) } catch let error as CacheError
                    where [.corrupt, .key].contains(error.code)
                {
                    present = nil
                }
            }
            guard let next = change(present) else { return false }
            let sealed = next.seal(of: image, in: generation, with: keys)
            if try await store.replace(object, sealed, expecting: version) != nil { return true }
        }
        throw CacheError(.conflict, "the trace of image \(image) is being changed by others all the time: try again")
    }

    /// Removes the trace of an image; whether there was one.
    package func remove(of image: ManifestID, in generation: Generation) async throws -> Bool {
        let object = L3Layout.trace(of: image, in: generation)
        guard try await store.head(object) != nil else { return false }
        try await store.delete(object)
        return true
    }

    /// For a store that is bounded: removes traces until at most `count` are left, this image's among them. Which ones
    /// go is left to chance: their names are hashes.
    package func keepOnly(_ count: Int, with image: ManifestID, in generation: Generation) async throws {
        var keys: [ObjectKey] = []
        var after: String?
        repeat {
            let page = try await store.list(prefix: L3Layout.generations, delimiter: false, after: after, limit: 1000)
            keys += page.objects.map(\.key)
            after = page.next
        } while after != nil
        let own = L3Layout.trace(of: image, in: generation)
        for key in keys.lazy.filter({ $0 != own }).prefix(max(keys.count - count, 0)) { try await store.delete(key) }
    }
}
