public import CacheBase
internal import CacheFiles
internal import CacheObjectStore

extension RefStore {
    /// One name among the references of a store, and what it names or why it cannot be said.
    public struct Listed: Sendable {
        /// `tenant/name:tag`; for what cannot be a reference, the name of the object.
        public let name: String
        public let record: Result<RefRecord, CacheError>
    }

    /// All references, or those of one tenant, sorted by their objects. Costs one listing for each thousand names at
    /// every level, and one read a reference.
    ///
    /// One that cannot be read, and what is in the way at any level, is in the list and hides no other.
    /// - Throws: ``CacheError`` if the store does not answer.
    public func list(of tenant: TenantName?) async throws -> [Listed] {
        var found: [Listed] = []
        if let tenant {
            try await listNames(of: tenant, &found)
            return found
        }
        try await eachPage(L3Layout.refs, &found) { page, found in
            for prefix in page.prefixes {
                guard let tenant = TenantName(Self.lastComponent(prefix)) else {
                    found.append(Self.notAReference(prefix))
                    continue
                }
                try await listNames(of: tenant, &found)
            }
            found += page.objects.map { Self.notAReference($0.key.rawValue) }
        }
        return found
    }

    private func listNames(of tenant: TenantName, _ found: inout [Listed]) async throws {
        try await eachPage(L3Layout.refs(of: tenant), &found) { page, found in
            for prefix in page.prefixes {
                let name = Self.imageName(prefix)
                guard ImageReference.isName(name) else {
                    found.append(Self.notAReference(prefix))
                    continue
                }
                try await listTags(of: tenant, name: name, &found)
            }
            found += page.objects.map { Self.notAReference($0.key.rawValue) }
        }
    }

    private func listTags(of tenant: TenantName, name: String, _ found: inout [Listed]) async throws {
        try await eachPage(L3Layout.refs(of: tenant, name: name), &found) { page, found in
            for (key, _) in page.objects {
                let tag = Self.lastComponent(key.rawValue)
                guard ImageReference.isTag(tag) else {
                    found.append(Self.notAReference(key.rawValue))
                    continue
                }
                let reference = try ImageReference(tenant: tenant, name: name, tag: tag)
                do {
                    // One that was removed since it was listed is no error.
                    guard let record = try await read(reference) else { continue }
                    found.append(Listed(name: "\(reference)", record: .success(record)))
                } catch let error as CacheError where !Self.isStoreFailure(error) {
                    found.append(Listed(name: "\(reference)", record: .failure(error)))
                }
            }
            found += page.prefixes.map(Self.notAReference)
        }
    }

    /// Hands over a listing page by page; one that fails is in `found`, unless it is the store that does not answer.
    private func eachPage(
        _ prefix: String, _ found: inout [Listed],
        _ take: (ObjectPage, inout [Listed]) async throws -> Void
    ) async throws {
        var after: String?
        repeat {
            let page: ObjectPage
            do {
                page = try await store.list(prefix: prefix, delimiter: true, after: after, limit: 1000)
            } catch let error as CacheError where !Self.isStoreFailure(error) {
                found.append(Listed(name: prefix, record: .failure(error)))
                return
            }
            try await take(page, &found)
            found += page.foreign.map { name in Listed(name: name, record: .failure(.foreign(name))) }
            after = page.next
        } while after != nil
    }

    private static func isStoreFailure(_ error: CacheError) -> Bool {
        [.timedOut, .overloaded, .closed].contains(error.code)
    }

    private static func notAReference(_ object: String) -> Listed {
        Listed(
            name: object,
            record: .failure(
                CacheError(.invalidInput, "\(object) cannot be a reference: move it out of the object store")))
    }
}
