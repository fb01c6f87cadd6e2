import CacheCore
import NIOCore
import Testing

/// What every object store must do when it lists.
extension ObjectStoreConformance {
    /// In byte order: `+` `-` `.` `/` `0` `=` `A` `_` `a` `~`. Whole keys are sorted, not components.
    private static let names = [
        "a+b", "a-b", "a-c/d", "a.b/c", "a/b", "a/b-c", "a/c/d", "a/c0", "a/z", "a0", "a=", "aA", "a_/x", "aa", "a~",
        "b/c/d",
        "b/c/e",
    ]

    static func checkPages(_ store: any ObjectStore) async throws {
        try await store.fill(names)
        for limit in [1, 2, 3, 5, 16, 17, 18] {
            var found: [String] = []
            var after: String?
            repeat {
                let page = try await store.list(prefix: "", delimiter: false, after: after, limit: limit)
                #expect(page.objects.count <= limit)
                found += page.objects.map(\.key.rawValue)
                #expect(page.objects.allSatisfy { $0.size == $0.key.rawValue.utf8.count })
                after = page.next
            } while after != nil && found.count <= names.count
            #expect(found == names, "limit \(limit)")
        }
        // From any place, whether there is an object of that name or not.
        for after in names + ["", "a", "a-", "a/", "a/c", "a/c/", "a/c/z", "a.b/", "b", "b/c", "c"] {
            let page = try await store.list(prefix: "", delimiter: false, after: after, limit: 1000)
            #expect(page.objects.map(\.key.rawValue) == names.filter { $0 > after }, "after \(after)")
        }
    }

    static func checkDelimiterPages(_ store: any ObjectStore) async throws {
        try await store.fill(names)
        for prefix in ["", "a", "a/", "a/c", "b/", "b", "b/c/"] {
            var expected: [String] = []
            for name in names where name.hasPrefix(prefix) {
                let rest = name.dropFirst(prefix.count)
                let folded = rest.firstIndex(of: "/").map { prefix + rest[...$0] } ?? name
                if expected.last != folded { expected.append(folded) }
            }
            for limit in [1, 2, 1000] {
                var found: [String] = []
                var after: String?
                repeat {
                    let page = try await store.list(prefix: prefix, delimiter: true, after: after, limit: limit)
                    #expect(page.prefixes.count + page.objects.count <= limit)
                    #expect(page.prefixes == page.prefixes.sorted())
                    found += (page.prefixes + page.objects.map(\.key.rawValue)).sorted()
                    after = page.next
                } while after != nil && found.count <= expected.count
                #expect(found == expected, "prefix \(prefix), limit \(limit)")
            }
        }
    }

    static func checkPrefixes(_ store: any ObjectStore) async throws {
        try await store.fill(names)
        for prefix in ["", "a", "a/", "a/b", "a-", "b/c", "b/c/", "zz", "a/b/", "a//", "."] {
            let found = try await store.list(prefix: prefix, delimiter: false, after: nil, limit: 1000)
            #expect(found.objects.map(\.key.rawValue) == names.filter { $0.hasPrefix(prefix) }, "\(prefix)")
            #expect(found.prefixes.isEmpty)
            #expect(found.next == nil)
        }
    }

    static func checkEmptiedPrefix(_ store: any ObjectStore) async throws {
        try await store.fill(["a/b/c/d", "a/x"])
        try await store.delete(key("a/b/c/d"))
        let page = try await store.list(prefix: "a/", delimiter: true, after: nil, limit: 10)
        #expect(page.prefixes.isEmpty)
        #expect(page.objects.map(\.key.rawValue) == ["a/x"])
    }

    /// Prefixes and places that could lead out of the store, or to its private files.
    static func checkHostilePrefixes(_ store: any ObjectStore) async throws {
        try await store.fill(["a/b", "tmp/x"])
        for prefix in [
            "../", "..", "/", "//", "./", ".", ".tmp/", ".lock", "a/../", "a/./", "a/b/../../", "\0", "a\0", "%2e", "*",
        ] {
            for delimiter in [true, false] {
                let page = try await store.list(prefix: prefix, delimiter: delimiter, after: nil, limit: 10)
                #expect(page == .empty, "prefix \(prefix)")
            }
        }
        for after in ["../", "/", ".tmp/x", "\0", ""] {
            let page = try await store.list(prefix: "", delimiter: false, after: after, limit: 10)
            #expect(page.objects.map(\.key.rawValue) == ["a/b", "tmp/x"], "after \(after)")
        }
    }
}
