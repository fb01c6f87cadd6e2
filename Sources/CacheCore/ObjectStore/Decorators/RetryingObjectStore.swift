package import CacheBase

/// An object store that makes a call again if it failed for a reason that may be over soon, a bounded number of times.
///
/// Only calls that are safe to repeat are repeated: ``ObjectOperation/isRepeatable``. What is transient is decided by
/// the code of the error, see ``RetryPolicy``. A caller that is cancelled while it waits gets a `CancellationError`;
/// the last attempt's error is thrown as it is.
package struct RetryingObjectStore: ObjectStoreDecorator {
    private let base: any ObjectStore
    private let policy: RetryPolicy
    private let time: TimeSource
    private let jitter: @Sendable () -> Double

    /// - Parameters:
    ///   - time: the clock that waits go by.
    ///   - jitter: gives a random number in `0..<1` for each wait.
    package init(
        _ base: any ObjectStore, policy: RetryPolicy, time: TimeSource = .system,
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.base = base
        self.policy = policy
        self.time = time
        self.jitter = jitter
    }

    package func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        let attempts = call.operation.isRepeatable ? max(policy.attempts, 1) : 1
        for attempt in 1..<attempts {
            do {
                return try await body(base)
            } catch let error as CacheError where policy.transientCodes.contains(error.code) {
                try await time.sleep(policy.wait(afterAttempt: attempt, jitter: jitter()))
            }
        }
        return try await body(base)
    }
}
