package import NIOPosix
internal import Synchronization

/// Cancellation of blocking calls: whether the task that waits for the result was cancelled.
///
/// A cancelled task does not stop the thread that blocks for it. Work that is given to a thread by
/// ``NIOPosix/NIOThreadPool/runCancellable(_:)`` can ask here, and so can synchronous code that runs in a task itself.
/// Every wait that may be long (for a lock, for the other end of a pipe) asks each time it has waited a while.
package enum Cancellation {
    fileprivate final class Flag: Sendable {
        let isRaised = Atomic<Bool>(false)
    }

    @TaskLocal fileprivate static var flag: Flag?

    package static var isRequested: Bool {
        Task.isCancelled || flag?.isRaised.load(ordering: .relaxed) ?? false
    }

    /// - Throws: `CancellationError` if the task that waits for the result was cancelled.
    package static func check() throws {
        if isRequested { throw CancellationError() }
    }
}

extension NIOThreadPool {
    /// As `runIfActive`, but `body` can ask ``Cancellation`` whether the task that waits for it was cancelled. Costs
    /// one allocation more.
    package func runCancellable<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        let flag = Cancellation.Flag()
        return try await withTaskCancellationHandler {
            try await runIfActive { try Cancellation.$flag.withValue(flag) { try body() } }
        } onCancel: {
            flag.isRaised.store(true, ordering: .relaxed)
        }
    }
}
