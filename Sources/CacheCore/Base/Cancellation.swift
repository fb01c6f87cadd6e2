package import NIOPosix
internal import Synchronization

/// Whether anybody still wants what a blocking call is for.
///
/// A task that is cancelled lets go of what it awaits, but the thread that blocks for it hears nothing of that. Work that is handed to a
/// thread by ``NIOPosix/NIOThreadPool/runCancellable(_:)`` can ask here, and so can synchronous code that runs in a task itself; every wait
/// that may be long (for a lock, for the other end of a pipe) does so at each of its turns.
package enum Cancellation {
    fileprivate final class Flag: Sendable {
        let isRaised = Atomic<Bool>(false)
    }

    @TaskLocal fileprivate static var flag: Flag?

    package static var isRequested: Bool {
        Task.isCancelled || flag?.isRaised.load(ordering: .relaxed) ?? false
    }

    /// - Throws: `CancellationError` if nobody wants the result any more.
    package static func check() throws {
        if isRequested { throw CancellationError() }
    }
}

extension NIOThreadPool {
    /// As `runIfActive`, and `body` learns of it when the task that waits for it is cancelled. Costs one allocation more.
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
