import CacheCore
import NIOConcurrencyHelpers
import NIOCore

/// An L3 that can be switched off as a whole, and tells what was read of it.
final class SwitchedStore: ObjectStore {
    enum Mode: Sendable {
        case on
        /// Every call fails at once.
        case failing
        /// Every call waits for the store to be switched to something else, deaf to cancellation.
        case hanging
    }

    private struct State {
        var mode = Mode.on
        var reads: [String] = []
        var hanging: [CheckedContinuation<Void, Never>] = []
    }

    private let base: any ObjectStore
    private let state = NIOLockedValueBox(State())

    init(_ base: any ObjectStore) { self.base = base }

    func set(_ mode: Mode) {
        let waiting = state.withLockedValue { state in
            state.mode = mode
            defer { state.hanging = [] }
            return state.hanging
        }
        for continuation in waiting { continuation.resume() }
    }

    /// How many reads there were of objects whose name has `part` in it.
    func reads(_ part: String) -> Int { state.withLockedValue { $0.reads.count { $0.contains(part) } } }

    private func enter(_ key: String, isRead: Bool) async throws {
        let mode = state.withLockedValue { state in
            if isRead { state.reads.append(key) }
            return state.mode
        }
        switch mode {
        case .on: return
        case .failing: throw CacheError(.io, "injected failure of \(key)")
        case .hanging:
            await withCheckedContinuation { continuation in
                let isOver = state.withLockedValue { state in
                    guard state.mode == .hanging else { return true }
                    state.hanging.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        }
    }

    func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        try await enter("\(key)", isRead: true)
        return try await base.get(key, limit: limit)
    }

    func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        try await enter("\(key)", isRead: true)
        return try await base.get(key, range: range)
    }

    func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await enter("\(key)", isRead: true)
        return try await base.head(key)
    }

    func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        try await enter("\(key)", isRead: false)
        return try await base.putIfAbsent(key, body)
    }

    func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) async throws -> ObjectVersion? {
        try await enter("\(key)", isRead: false)
        return try await base.replace(key, body, expecting: expected)
    }

    func delete(_ key: ObjectKey) async throws {
        try await enter("\(key)", isRead: false)
        try await base.delete(key)
    }

    func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage {
        try await enter(prefix, isRead: true)
        return try await base.list(prefix: prefix, delimiter: delimiter, after: after, limit: limit)
    }
}
