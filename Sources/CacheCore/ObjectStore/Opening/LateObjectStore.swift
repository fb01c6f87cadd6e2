internal import CacheBase
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// An object store that is opened by the first call, and by the next one if that failed.
///
/// For programs that can do without the store for a while: a directory that is gone, or hangs, fails the calls and not
/// the start of the program. Opening blocks a thread of this store's own and no caller's; callers bound it with their
/// deadlines like any call.
public final class LateObjectStore: ObjectStoreDecorator {
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

    /// The store, opened if need be: once, however many calls ask at the same time.
    private func store() async throws -> any ObjectStore {
        let state = state.withLockedValue { state in
            if case .closed = state {
                // The task takes this lock at its end, so it changes the state only after it was set here.
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
            // A call that fails with `missing` would say that its object is missing, not the store.
            guard let error = error as? CacheError, error.code == .missing else { throw error }
            throw CacheError(.io, error.message, cause: error.cause)
        }
    }

    public func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        try await body(store())
    }
}
