internal import NIOCore

/// Fetches items one after the other, with the next ones under way. For one task; give it up at any time.
package struct OrderedFetch<Value: Sendable> {
    private let count: Int
    private let ahead: Int
    private let fetch: @Sendable (Int) async throws -> Value
    private let flights = Flights()
    private var started = 0
    private var taken = 0

    /// - Parameters:
    ///   - count: how many items there are.
    ///   - ahead: how many are under way at once.
    ///   - fetch: brings the item of a number, counted from 0.
    package init(count: Int, ahead: Int, _ fetch: @escaping @Sendable (Int) async throws -> Value) {
        self.count = count
        self.ahead = max(ahead, 1)
        self.fetch = fetch
    }

    /// The next item. There must be one.
    package mutating func next() async throws -> Value {
        precondition(taken < count, "all items were taken")
        while started < count, started < taken + ahead {
            let number = started
            flights.tasks.append(Task { [fetch] in try await fetch(number) })
            started += 1
        }
        taken += 1
        let flight = flights.tasks.removeFirst()
        return try await withTaskCancellationHandler {
            try await flight.value
        } onCancel: {
            flight.cancel()
        }
    }

    /// The tasks that were started and not taken; cancelled when the fetch is given up.
    private final class Flights {
        var tasks = CircularBuffer<Task<Value, any Error>>()

        deinit { for task in tasks { task.cancel() } }
    }
}
