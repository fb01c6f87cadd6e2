package import CacheBase

/// An object store whose calls end within a fixed time, with `.timedOut` and the name of the object if there was no
/// answer.
///
/// The call below is cancelled then, but not waited for: a system call that hangs keeps its own thread, never the
/// caller.
package struct DeadlineObjectStore: ObjectStoreDecorator {
    private let base: any ObjectStore
    private let deadline: Duration
    private let deadlines: Deadlines

    /// - Parameters:
    ///   - deadline: for each call, give or take 10 ms.
    ///   - deadlines: the clock, and the task that watches it.
    package init(_ base: any ObjectStore, deadline: Duration, deadlines: Deadlines) {
        self.base = base
        self.deadline = deadline
        self.deadlines = deadlines
    }

    package func perform<Result: Sendable>(
        _ call: ObjectCall, _ body: @escaping @Sendable (any ObjectStore) async throws -> Result
    ) async throws -> Result {
        try await deadlines.run(deadline, Self.description(of: call)) { [base] in try await body(base) }
    }

    private static func description(of call: ObjectCall) -> String {
        call.operation == .list ? "L3, asked for objects \(call.name)*," : "L3 object \(call.name)"
    }
}
