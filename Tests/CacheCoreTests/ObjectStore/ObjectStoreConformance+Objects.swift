import CacheCore
import NIOCore
import Testing

/// What every object store must do with one object at a time.
extension ObjectStoreConformance {
    /// What is not there is `nil`, or nothing to do: never an error.
    static func checkAbsent(_ store: any ObjectStore) async throws {
        #expect(try await store.get(key("a/b"), limit: 10) == nil)
        #expect(try await store.get(key("a/b"), range: 0..<1) == nil)
        #expect(try await store.head(key("a/b")) == nil)
        try await store.delete(key("a/b"))
        #expect(try await store.list(prefix: "", delimiter: false, after: nil, limit: 10) == .empty)
        #expect(try await store.list(prefix: "a/../", delimiter: true, after: nil, limit: 10) == .empty)
    }

    static func checkPutAndGet(_ store: any ObjectStore) async throws {
        #expect(try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "hello")) == .created)
        let found = try #require(await store.get(key("a/b"), limit: 5))
        #expect(String(buffer: found.body) == "hello")
        #expect(try await store.head(key("a/b")) == ObjectInfo(size: 5, version: found.version))
        #expect(try await store.get(key("a"), limit: 5) == nil, "there are no directories")
        #expect(try await store.get(key("a/b/c"), limit: 5) == nil)
    }

    static func checkRanges(_ store: any ObjectStore) async throws {
        _ = try await store.putIfAbsent(key("a"), ByteBuffer(string: "0123456789"))
        for (range, expected) in [
            (0..<10, "0123456789"), (3..<5, "34"), (8..<100, "89"), (10..<12, ""), (50..<60, ""), (0..<0, ""),
        ] {
            let found = try #require(await store.get(key("a"), range: range))
            #expect(String(buffer: found) == expected, "\(range)")
        }
    }

    /// An object that is longer than the caller takes is refused by name.
    static func checkLimit(_ store: any ObjectStore) async throws {
        _ = try await store.putIfAbsent(key("a"), ByteBuffer(string: "0123456789"))
        let error = await failure { try await store.get(key("a"), limit: 9) }
        #expect(error?.code == .limitExceeded)
        #expect(error?.message.contains("object a ") == true)
    }

    static func checkPutIfAbsentKeeps(_ store: any ObjectStore) async throws {
        #expect(try await store.putIfAbsent(key("a"), ByteBuffer(string: "first")) == .created)
        #expect(try await store.putIfAbsent(key("a"), ByteBuffer(string: "second")) == .alreadyPresent)
        #expect(try await store.text("a") == "first")
    }

    static func checkCompareAndSwap(_ store: any ObjectStore) async throws {
        #expect(
            try await store.replace(key("a/b"), ByteBuffer(string: "1"), expecting: ObjectVersion("none")) == nil)
        #expect(try await store.head(key("a/b")) == nil)
        let first = try #require(await store.replace(key("a/b"), ByteBuffer(string: "1"), expecting: nil))
        #expect(try await store.replace(key("a/b"), ByteBuffer(string: "2"), expecting: nil) == nil)
        let second = try #require(await store.replace(key("a/b"), ByteBuffer(string: "2"), expecting: first))
        #expect(try await store.replace(key("a/b"), ByteBuffer(string: "3"), expecting: first) == nil)
        #expect(try await store.get(key("a/b"), limit: 9)?.version == second)
        #expect(try await store.text("a/b") == "2")
    }

    static func checkDelete(_ store: any ObjectStore) async throws {
        _ = try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "1"))
        let version = try await store.head(key("a/b"))?.version
        try await store.delete(key("a/b"))
        #expect(try await store.head(key("a/b")) == nil)
        #expect(try await store.replace(key("a/b"), ByteBuffer(string: "2"), expecting: version) == nil)
        #expect(try await store.putIfAbsent(key("a/b"), ByteBuffer(string: "2")) == .created)
    }

    static func checkEmptyObject(_ store: any ObjectStore) async throws {
        #expect(try await store.putIfAbsent(key("a"), ByteBuffer()) == .created)
        #expect(try await store.head(key("a"))?.size == 0)
        #expect(try await store.get(key("a"), limit: 0)?.body.readableBytes == 0)
    }

    /// Larger than any chunk, and than what a store may read or write at once.
    static func checkLargeObject(_ store: any ObjectStore) async throws {
        var body = ByteBuffer()
        for number in 0..<UInt32(5 << 18) { body.writeInteger(number &* 2_654_435_761) }
        let size = body.readableBytes
        #expect(try await store.putIfAbsent(key("large"), body) == .created)
        let found = try #require(await store.get(key("large"), limit: size))
        #expect(found.body == body)
        #expect(try await store.head(key("large")) == ObjectInfo(size: size, version: found.version))
        for range in [size - 3..<size + 9, (1 << 20) - 1..<(1 << 20) + 70_000] {
            let slice = body.getSlice(at: range.lowerBound, length: min(range.upperBound, size) - range.lowerBound)
            #expect(try await store.get(key("large"), range: range) == slice)
        }
    }

    /// Keys that are allowed and look like something else: to a shell, a file system or the store itself.
    static func checkHostileKeys(_ store: any ObjectStore) async throws {
        let names = [
            "-rf", "~", "~root/x", "a=b/c@d/+e", "A", "a", "con/nul", "lock", "x.lock", "tmp/1", "x.tmp/1.lock", "e...",
            "f./g",
            "--help/-", "0", String(repeating: "k", count: 255),
            (0..<128).map { _ in "ddd" }.joined(separator: "/") + "e",
        ]
        try await store.fill(names)
        for name in names {
            #expect(try await store.text(name) == name)
            #expect(try await store.head(key(name))?.size == name.utf8.count)
        }
        let page = try await store.list(prefix: "", delimiter: false, after: nil, limit: 1000)
        #expect(page.objects.map(\.key) == page.objects.map(\.key).sorted())
        #expect(Set(page.objects.map(\.key.rawValue)) == Set(names))
        for name in names { try await store.delete(key(name)) }
        #expect(try await store.list(prefix: "", delimiter: false, after: nil, limit: 10) == .empty)
    }
}
