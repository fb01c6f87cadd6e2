import CacheCore
import NIOCore

/// An object store in a directory that answers reads as late as one in a region does.
struct DistantStore: ObjectStore {
    let base: any ObjectStore
    let delay: Duration

    private func wait() async throws { try await Task.sleep(for: delay) }

    func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        try await wait()
        return try await base.get(key, limit: limit)
    }

    func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        try await wait()
        return try await base.get(key, range: range)
    }

    func head(_ key: ObjectKey) async throws -> ObjectInfo? { try await base.head(key) }

    func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        try await base.putIfAbsent(key, body)
    }

    func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) async throws -> ObjectVersion? {
        try await base.replace(key, body, expecting: expected)
    }

    func delete(_ key: ObjectKey) async throws { try await base.delete(key) }

    func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage {
        try await base.list(prefix: prefix, delimiter: delimiter, after: after, limit: limit)
    }
}
