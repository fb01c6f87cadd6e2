internal import CacheBase

/// An object store of which a bounded number of calls is under way at once; more wait in order of arrival, in a queue
/// that is bounded too.
///
/// A call holds its place until the store below answers: a store that may hang needs a ``DeadlineObjectStore`` below
/// this one, or the places run out.
package struct LimitedObjectStore: ObjectStoreDecorator {
    private let base: any ObjectStore
    private let limiter: AsyncLimiter
    private let queue: Int

    /// - Parameters:
    ///   - name: what is limited, for the error, e.g. `"reads of L3"`.
    ///   - concurrency: calls under way at once, at least 1.
    ///   - queue: calls that may wait; one more is refused with `.overloaded`, without asking the store below.
    package init(_ base: any ObjectStore, name: String, concurrency: Int, queue: Int) {
        self.base = base
        self.queue = queue
        limiter = AsyncLimiter(name, capacity: concurrency, maximumWaiters: queue)
    }

    /// Whether the queue is full, so that the next call would be refused.
    package var isFull: Bool { limiter.waiting >= queue }

    /// Calls that wait now.
    package var waiting: Int { limiter.waiting }

    package func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        try await limiter.withPermit { try await body(base) }
    }
}
