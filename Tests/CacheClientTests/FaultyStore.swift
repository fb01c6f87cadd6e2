import CacheCore
import NIOConcurrencyHelpers
import NIOCore

/// A real object store that fails on demand: the decorator that injects faults into L3. Counts reads of chunks.
final class FaultyStore: ObjectStore {
    enum Fault: Sendable {
        case none
        /// Every read of a chunk fails at once.
        case failing
        /// Reads of chunks wait for ``release()``, deaf to cancellation, as a system call on a hung disk does.
        case hanging
        /// One bit of every chunk is flipped.
        case corrupting
        /// Chunks are cut short.
        case truncating
        /// Chunks are gone.
        case losing
    }

    private struct State {
        var fault = Fault.none
        var reads = 0
        var hanging: [CheckedContinuation<Void, Never>] = []
        var watchers: [(reads: Int, continuation: CheckedContinuation<Void, Never>)] = []
        var puts = 0
    }

    private let base: any ObjectStore
    private let state = NIOLockedValueBox(State())

    init(_ base: any ObjectStore) { self.base = base }

    /// Reads of chunks so far, those that hang included.
    var chunkReads: Int { state.withLockedValue { $0.reads } }
    var chunkPuts: Int { state.withLockedValue { $0.puts } }

    func set(_ fault: Fault) { state.withLockedValue { $0.fault = fault } }

    /// Lets everything go that hangs, and hangs nothing any more.
    func release() {
        let waiting = state.withLockedValue { state in
            state.fault = .none
            defer { state.hanging = [] }
            return state.hanging
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns once `count` reads of chunks have begun.
    func waitForReads(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLockedValue { state in
                if state.reads >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    private static func isChunk(_ key: ObjectKey) -> Bool { "\(key)".contains("/chunks/") }

    private func beginRead(_ key: ObjectKey) async throws -> Fault {
        guard Self.isChunk(key) else { return .none }
        let (fault, ready) = state.withLockedValue { state in
            state.reads += 1
            let ready = state.watchers.filter { $0.reads <= state.reads }
            state.watchers.removeAll { $0.reads <= state.reads }
            return (state.fault, ready)
        }
        for watcher in ready { watcher.continuation.resume() }
        if fault == .failing { throw CacheError(.io, "injected failure of \(key)") }
        if fault == .hanging {
            await withCheckedContinuation { continuation in
                let isOver = state.withLockedValue { state in
                    guard state.fault == .hanging else { return true }
                    state.hanging.append(continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        }
        return fault
    }

    private func damaged(_ body: ByteBuffer?, _ fault: Fault) -> ByteBuffer? {
        guard var body, body.readableBytes > 0 else { return body }
        switch fault {
        case .corrupting:
            let byte = body.getInteger(at: body.readerIndex + body.readableBytes / 2, as: UInt8.self) ?? 0
            body.setInteger(byte ^ 16, at: body.readerIndex + body.readableBytes / 2)
            return body
        case .truncating: return body.getSlice(at: body.readerIndex, length: body.readableBytes / 2)
        case .losing: return nil
        case .none, .failing, .hanging: return body
        }
    }

    func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        let fault = try await beginRead(key)
        return try await base.get(key, limit: limit).flatMap { object in
            damaged(object.body, fault).map { StoredObject(body: $0, version: object.version) }
        }
    }

    func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        let fault = try await beginRead(key)
        return damaged(try await base.get(key, range: range), fault)
    }

    func head(_ key: ObjectKey) async throws -> ObjectInfo? { try await base.head(key) }

    func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        if Self.isChunk(key) { state.withLockedValue { $0.puts += 1 } }
        return try await base.putIfAbsent(key, body)
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
