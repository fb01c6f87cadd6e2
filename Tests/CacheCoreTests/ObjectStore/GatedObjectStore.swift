import CacheObjectStore
import NIOConcurrencyHelpers

/// An object store whose calls wait until it is opened, deaf to cancellation. Counts them.
final class GatedObjectStore: ObjectStoreDecorator {
    private struct State {
        var isOpen = false
        var calls = 0
        var running = 0
        var most = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var watchers: [(calls: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let base: any ObjectStore
    private let state = NIOLockedValueBox(State())

    init(base: any ObjectStore) { self.base = base }

    /// Calls so far, those that wait included.
    var calls: Int { state.withLockedValue { $0.calls } }
    /// The most calls that were under way at once.
    var most: Int { state.withLockedValue { $0.most } }

    /// Lets all calls pass, those that wait and those to come.
    func open() {
        let waiting = state.withLockedValue { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns once `count` calls have come.
    func waitForCalls(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLockedValue { state in
                if state.calls >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        let ready = state.withLockedValue { state in
            state.calls += 1
            state.running += 1
            state.most = max(state.most, state.running)
            let ready = state.watchers.filter { $0.calls <= state.calls }
            state.watchers.removeAll { $0.calls <= state.calls }
            return ready
        }
        for watcher in ready { watcher.continuation.resume() }
        await withCheckedContinuation { continuation in
            let isOpen = state.withLockedValue { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
        defer { state.withLockedValue { $0.running -= 1 } }
        return try await body(base)
    }
}
