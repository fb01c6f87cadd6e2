internal import NIOConcurrencyHelpers

/// Where the counters of all event loops are found: each of them registers its own, and a reader gets the sum.
final class MetricsRegistry: Sendable {
    typealias Source = @Sendable () async throws -> RequestMetrics

    private let sources = NIOLockedValueBox<[Source]>([])

    func register(_ source: @escaping Source) {
        sources.withLockedValue { $0.append(source) }
    }

    /// Asks one event loop after the other, which costs each of them a task, and adds up what they say.
    func sum() async throws -> RequestMetrics {
        var sum = RequestMetrics()
        for source in sources.withLockedValue({ $0 }) { sum.add(try await source()) }
        return sum
    }
}
