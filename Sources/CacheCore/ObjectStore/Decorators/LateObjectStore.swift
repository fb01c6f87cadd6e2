public import CacheBase
internal import NIOConcurrencyHelpers
public import NIOCore
internal import NIOPosix

/// An object store that is opened by the first call, and by the next one if that failed: for those who can do without it for a while.
///
/// A store whose directory is gone, or hangs, is an error of each call and no error of the program's start. Opening blocks a thread of this
/// store's own and no caller's: callers bound it with their deadlines like any call.
public final class LateObjectStore: ObjectStore {
    private enum State {
        case closed
        case opening(Task<any ObjectStore, any Error>)
        case open(any ObjectStore)
    }

    private let open: @Sendable () throws -> any ObjectStore
    private let state = NIOLockedValueBox(State.closed)
    private let thread = NIOThreadPool(numberOfThreads: 1)

    /// - Parameter open: opens the store; may block.
    public init(_ open: @escaping @Sendable () throws -> any ObjectStore) {
        self.open = open
        thread.start()
    }

    deinit {
        thread.shutdownGracefully { _ in }
    }

    /// The store, opened if need be; however many ask at the same time, it is opened once.
    private func store() async throws -> any ObjectStore {
        let state = state.withLockedValue { state in
            if case .closed = state {
                // Its end takes this lock, so what it sets comes after what is set here.
                state = .opening(Task { try await self.openNow() })
            }
            return state
        }
        switch state {
        case .open(let store): return store
        case .opening(let task): return try await task.value
        case .closed: return try await openNow()
        }
    }

    private func openNow() async throws -> any ObjectStore {
        do {
            let store = try await thread.runIfActive { [open] in try open() }
            state.withLockedValue { $0 = .open(store) }
            return store
        } catch {
            state.withLockedValue { $0 = .closed }
            // Of a call, `missing` would mean that an object is.
            guard let error = error as? CacheError, error.code == .missing else { throw error }
            throw CacheError(.io, error.message, cause: error.cause)
        }
    }

    public func get(_ key: ObjectKey, limit: Int) async throws -> StoredObject? {
        try await store().get(key, limit: limit)
    }

    public func get(_ key: ObjectKey, range: Range<Int>) async throws -> ByteBuffer? {
        try await store().get(key, range: range)
    }

    public func head(_ key: ObjectKey) async throws -> ObjectInfo? {
        try await store().head(key)
    }

    public func putIfAbsent(_ key: ObjectKey, _ body: ByteBuffer) async throws -> PutOutcome {
        try await store().putIfAbsent(key, body)
    }

    public func replace(
        _ key: ObjectKey, _ body: ByteBuffer, expecting expected: ObjectVersion?
    ) async throws -> ObjectVersion? {
        try await store().replace(key, body, expecting: expected)
    }

    public func delete(_ key: ObjectKey) async throws {
        try await store().delete(key)
    }

    public func list(prefix: String, delimiter: Bool, after: String?, limit: Int) async throws -> ObjectPage {
        try await store().list(prefix: prefix, delimiter: delimiter, after: after, limit: limit)
    }
}
