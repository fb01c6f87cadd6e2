internal import NIOConcurrencyHelpers

/// Metrics registry: each event loop registers its counters here, and a reader gets their sum.
final class MetricsRegistry: Sendable {
    typealias Source = @Sendable () async throws -> RequestMetrics

    private let sources = NIOLockedValueBox<[Source]>([])

    func register(_ source: @escaping Source) {
        sources.withLockedValue { $0.append(source) }
    }

    /// The sum over all event loops, which are asked one after the other: a task on each.
    func sum() async throws -> RequestMetrics {
        var sum = RequestMetrics()
        for source in sources.withLockedValue({ $0 }) { sum.add(try await source()) }
        return sum
    }
}
