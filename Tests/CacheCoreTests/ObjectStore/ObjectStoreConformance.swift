import CacheCore
import NIOCore
import Testing

/// What every object store must do. Each check wants a store that is empty.
enum ObjectStoreConformance: String, CaseIterable {
    case absent, putAndGet, ranges, limit, putIfAbsentKeeps, racingPuts, compareAndSwap, racingSwaps, delete,
        emptyObject
    case pages, prefixes, delimiterPages, emptiedPrefix

    func check(_ store: any ObjectStore) async throws {
        switch self {
        case .absent:
            #expect(try await store.get(key("a/b"), limit: 10) == nil)
            #expect(try await store.get(key("a/b"), range: 0..<1) == nil)
            #expect(try await store.head(key("a/b")) == nil)
            try await store.delete(key("a/b"))
            #expect(try await store.list(prefix: "", delimiter: false, after: nil, limit: 10) == .empty)
            #expect(try await store.list(prefix: "a/../", delimiter: true, after: nil, limit: 10) == .empty)
        case .putAndGet:
            #expect(try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "hello")) == .created)
            let found = try #require(await store.get(key("a/b"), limit: 5))
            #expect(String(buffer: found.body) == "hello")
            #expect(try await store.head(key("a/b")) == ObjectInfo(size: 5, version: found.version))
            #expect(try await store.get(key("a"), limit: 5) == nil, "there are no directories")
            #expect(try await store.get(key("a/b/c"), limit: 5) == nil)
        case .ranges:
            _ = try await store.putIfAbsent(key("a"), ByteBuffer(string: "0123456789"))
            for (range, expected) in [
                (0..<10, "0123456789"), (3..<5, "34"), (8..<100, "89"), (10..<12, ""), (50..<60, ""), (0..<0, ""),
            ] {
                let found = try #require(await store.get(key("a"), range: range))
                #expect(String(buffer: found) == expected, "\(range)")
            }
        case .limit:
            _ = try await store.putIfAbsent(key("a"), ByteBuffer(string: "0123456789"))
            let error = await failure { try await store.get(key("a"), limit: 9) }
            #expect(error?.code == .limitExceeded)
            #expect(error?.message.contains("object a ") == true)
        case .putIfAbsentKeeps:
            #expect(try await store.putIfAbsent(key("a"), ByteBuffer(string: "first")) == .created)
            #expect(try await store.putIfAbsent(key("a"), ByteBuffer(string: "second")) == .alreadyPresent)
            #expect(try await store.text("a") == "first")
        case .racingPuts:
            let outcomes = try await withThrowingTaskGroup { group in
                for number in 0..<20 {
                    group.addTask { try await store.putIfAbsent(key("a/b/c"), ByteBuffer(string: "\(number)")) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0 == .created } == 1)
        case .compareAndSwap:
            #expect(
                try await store.replace(key("a/b"), ByteBuffer(string: "1"), expecting: ObjectVersion("none")) == nil)
            #expect(try await store.head(key("a/b")) == nil)
            let first = try #require(await store.replace(key("a/b"), ByteBuffer(string: "1"), expecting: nil))
            #expect(try await store.replace(key("a/b"), ByteBuffer(string: "2"), expecting: nil) == nil)
            let second = try #require(await store.replace(key("a/b"), ByteBuffer(string: "2"), expecting: first))
            #expect(try await store.replace(key("a/b"), ByteBuffer(string: "3"), expecting: first) == nil)
            #expect(try await store.get(key("a/b"), limit: 9)?.version == second)
            #expect(try await store.text("a/b") == "2")
        case .racingSwaps:
            try await withThrowingTaskGroup { group in
                for _ in 0..<8 {
                    group.addTask { for _ in 0..<10 { try await store.increment(key("n")) } }
                }
                try await group.waitForAll()
            }
            #expect(try await store.text("n") == "80")
        case .delete:
            _ = try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "1"))
            let version = try await store.head(key("a/b"))?.version
            try await store.delete(key("a/b"))
            #expect(try await store.head(key("a/b")) == nil)
            #expect(try await store.replace(key("a/b"), ByteBuffer(string: "2"), expecting: version) == nil)
            #expect(try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "2")) == .created)
        case .emptyObject:
            #expect(try await store.putIfAbsent(key("a"), ByteBuffer()) == .created)
            #expect(try await store.head(key("a"))?.size == 0)
            #expect(try await store.get(key("a"), limit: 0)?.body.readableBytes == 0)
        case .pages: try await checkPages(store)
        case .prefixes:
            try await store.fill(Self.names)
            for prefix in ["", "a", "a/", "a/b", "a-", "b/c", "b/c/", "zz", "a/b/", "a//", "."] {
                let found = try await store.list(prefix: prefix, delimiter: false, after: nil, limit: 1000)
                #expect(found.objects.map(\.key.rawValue) == Self.names.filter { $0.hasPrefix(prefix) }, "\(prefix)")
                #expect(found.prefixes.isEmpty)
                #expect(found.next == nil)
            }
        case .delimiterPages: try await checkDelimiterPages(store)
        case .emptiedPrefix:
            try await store.fill(["a/b/c/d", "a/x"])
            try await store.delete(key("a/b/c/d"))
            let page = try await store.list(prefix: "a/", delimiter: true, after: nil, limit: 10)
            #expect(page.prefixes.isEmpty)
            #expect(page.objects.map(\.key.rawValue) == ["a/x"])
        }
    }

    /// In byte order: `+` `-` `.` `/` `0` `=` `A` `_` `a` `~`. Whole keys are sorted, not components.
    private static let names = [
        "a+b", "a-b", "a-c/d", "a.b/c", "a/b", "a/b-c", "a/c/d", "a/c0", "a/z", "a0", "a=", "aA", "a_/x", "aa", "a~",
        "b/c/d",
        "b/c/e",
    ]

    private func checkPages(_ store: any ObjectStore) async throws {
        try await store.fill(Self.names)
        for limit in [1, 2, 3, 5, 16, 17, 18] {
            var found: [String] = []
            var after: String?
            repeat {
                let page = try await store.list(prefix: "", delimiter: false, after: after, limit: limit)
                #expect(page.objects.count <= limit)
                found += page.objects.map(\.key.rawValue)
                #expect(page.objects.allSatisfy { $0.size == $0.key.rawValue.utf8.count })
                after = page.next
            } while after != nil && found.count <= Self.names.count
            #expect(found == Self.names, "limit \(limit)")
        }
        // From any place, whether there is an object of that name or not.
        for after in Self.names + ["", "a", "a-", "a/", "a/c", "a/c/", "a/c/z", "a.b/", "b", "b/c", "c"] {
            let page = try await store.list(prefix: "", delimiter: false, after: after, limit: 1000)
            #expect(page.objects.map(\.key.rawValue) == Self.names.filter { $0 > after }, "after \(after)")
        }
    }

    private func checkDelimiterPages(_ store: any ObjectStore) async throws {
        try await store.fill(Self.names)
        for prefix in ["", "a", "a/", "a/c", "b/", "b", "b/c/"] {
            var expected: [String] = []
            for name in Self.names where name.hasPrefix(prefix) {
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
}

extension ObjectPage {
    static let empty = ObjectPage(objects: [], prefixes: [], next: nil)
}

extension ObjectStore {
    func text(_ name: String) async throws -> String? {
        try await get(key(name), limit: 1 << 20).map { String(buffer: $0.body) }
    }

    /// Puts objects whose bytes are their names, in another order than that of the names.
    fileprivate func fill(_ names: [String]) async throws {
        for name in names.reversed() { _ = try await putIfAbsent(key(name), ByteBuffer(string: name)) }
    }

    /// Adds one to the number in an object.
    fileprivate func increment(_ key: ObjectKey) async throws {
        while true {
            let now = try await get(key, limit: 100)
            let number = now.flatMap { Int(String(buffer: $0.body)) } ?? 0
            if try await replace(key, ByteBuffer(string: "\(number + 1)"), expecting: now?.version) != nil { return }
        }
    }
}
