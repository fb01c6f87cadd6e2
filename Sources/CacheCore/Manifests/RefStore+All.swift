extension RefStore {
    /// All references, or those of one tenant, sorted. Costs one listing for each thousand names at every level.
    public func all(of tenant: TenantName?) async throws -> [ImageReference] {
        var references: [ImageReference] = []
        var tenants = [tenant].compactMap { $0 }
        if tenant == nil { tenants = try await Self.all { try await self.tenants(after: $0) } }
        for tenant in tenants {
            for name in try await Self.all({ try await names(of: tenant, after: $0) }) {
                references += try await Self.all { page in
                    let found = try await tags(of: tenant, name: name, after: page)
                    return (found.references, found.next)
                }
            }
        }
        return references
    }

    private static func all<T>(_ page: (String?) async throws -> ([T], String?)) async throws -> [T] {
        var (found, next) = try await page(nil)
        while let after = next {
            let more: [T]
            (more, next) = try await page(after)
            found += more
        }
        return found
    }
}
