import CacheCore
import NIOCore
import Synchronization

/// An object store that fails when it is told to: before a call has done anything, or after it has done all (a lost answer).
final class FaultyObjectStore: ObjectStore {
    enum Moment { case before, after }
    /// Throws to fail a call: its name, its object, and whether it is done.
    typealias Fault = @Sendable (_ call: String, _ name: String, _ moment: Moment) throws -> Void

    private let base: any ObjectStore
    private let fault: Mutex<Fault>

    init(_ base: any ObjectStore, fault: @escaping Fault) {
        self.base = base
        self.fault = Mutex(fault)
    }

    private func run<Result>(_ call: String, _ name: String, _ body: () async throws -> Result) async throws -> Result {
        let fault = fault.withLock { $0 }
        try fault(call, name, .before)
        let result = try await body()
        try fault(call, name, .after)
        return result
    }

    func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        try await run("get", key.rawValue) { try await base.get(key, limit: limit) }
    }

    func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        try await run("get", key.rawValue) { try await base.get(key, range: range) }
    }

    func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await run("head", key.rawValue) { try await base.head(key) }
    }

    func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        try await run("put", key.rawValue) { try await base.putIfAbsent(key, body) }
    }

    func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) async throws -> ObjectVersion? {
        try await run("replace", key.rawValue) { try await base.replace(key, body, expecting: expected) }
    }

    func delete(_ key: ObjectKey) async throws {
        try await run("delete", key.rawValue) { try await base.delete(key) }
    }

    func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage {
        try await run("list", prefix) {
            try await base.list(prefix: prefix, delimiter: delimiter, after: after, limit: limit)
        }
    }
}
