public import CacheBase
public import NIOCore

/// An object store that passes each call on to another store, and adds one behaviour around it: a limit, retries, a
/// measurement.
///
/// A decorator implements ``perform(_:_:)`` alone; the functions of ``ObjectStore`` come from here. Bodies are passed
/// on as they are, never copied.
public protocol ObjectStoreDecorator: ObjectStore {
    /// Carries out one call: calls `body` with the store below, once, or more often if the decorator repeats calls.
    ///
    /// - Parameters:
    ///   - call: what is asked; only to look at.
    ///   - body: makes the call on the store that it is given.
    func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result
}

extension ObjectStoreDecorator {
    public func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        try await perform(ObjectCall(.get, key.rawValue)) { try await $0.get(key, limit: limit) }
    }

    public func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        try await perform(ObjectCall(.getRange, key.rawValue)) { try await $0.get(key, range: range) }
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await perform(ObjectCall(.head, key.rawValue)) { try await $0.head(key) }
    }

    public func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        try await perform(ObjectCall(.putIfAbsent, key.rawValue, sentBytes: body.readableBytes)) {
            try await $0.putIfAbsent(key, body)
        }
    }

    public func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) async throws -> ObjectVersion? {
        try await perform(ObjectCall(.replace, key.rawValue, sentBytes: body.readableBytes)) {
            try await $0.replace(key, body, expecting: expected)
        }
    }

    public func delete(_ key: ObjectKey) async throws {
        try await perform(ObjectCall(.delete, key.rawValue)) { try await $0.delete(key) }
    }

    public func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage {
        try await perform(ObjectCall(.list, prefix)) {
            try await $0.list(prefix: prefix, delimiter: delimiter, after: after, limit: limit)
        }
    }
}
