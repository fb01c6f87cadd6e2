package import CacheCore
package import NIOCore

extension FaultyObjectStore {
    /// The calls of an object store, by the names that an ``Interruption`` gets.
    enum Call: String {
        case get, head, put, replace, delete, list

        var isRead: Bool { self == .get || self == .head || self == .list }
    }

    package func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        let (object, fault) = try await run(.get, key.rawValue) { try await base.get(key, limit: limit) }
        return object.flatMap { object in
            fault.damage(object.body).map { StoredObject(body: $0, version: object.version) }
        }
    }

    package func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        let (body, fault) = try await run(.get, key.rawValue) { try await base.get(key, range: range) }
        return body.flatMap { fault.damage($0) }
    }

    package func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await run(.head, key.rawValue) { try await base.head(key) }.answer
    }

    package func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        try await run(.put, key.rawValue) { try await base.putIfAbsent(key, body) }.answer
    }

    package func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) async throws -> ObjectVersion? {
        try await run(.replace, key.rawValue) { try await base.replace(key, body, expecting: expected) }.answer
    }

    package func delete(_ key: ObjectKey) async throws {
        try await run(.delete, key.rawValue) { try await base.delete(key) }.answer
    }

    package func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage {
        try await run(.list, prefix) {
            try await base.list(prefix: prefix, delimiter: delimiter, after: after, limit: limit)
        }.answer
    }
}

extension FaultyObjectStore.Fault {
    /// What is left of an object's bytes; `nil` if nothing is.
    fileprivate func damage(_ body: ByteBuffer) -> ByteBuffer? {
        var body = body
        guard body.readableBytes > 0 else { return body }
        switch self {
        case .corrupting:
            let middle = body.readerIndex + body.readableBytes / 2
            let byte = body.getInteger(at: middle, as: UInt8.self) ?? 0
            body.setInteger(byte ^ 16, at: middle)
            return body
        case .truncating: return body.getSlice(at: body.readerIndex, length: body.readableBytes / 2)
        case .losing: return nil
        case .none, .failing, .hanging: return body
        }
    }
}
