internal import CacheCore

/// Calls into one tier, behind a circuit breaker: the one place that says what the end of a call tells of the tier.
///
/// A call that is cancelled tells nothing. One that fails counts against the tier only if the error means that the tier
/// is ill: a disk that is full says so at once, and still serves what it has.
struct TierGuard: Sendable {
    private let breaker: CircuitBreaker
    private let isIllness: @Sendable (any Error) -> Bool
    /// Failures in a row that open the breaker, and for how long it stays open.
    static let failures = 5
    private static let rest = Duration.seconds(5)

    init(time: TimeSource, countingAsIllness isIllness: @escaping @Sendable (any Error) -> Bool) {
        breaker = CircuitBreaker(threshold: Self.failures, rest: Self.rest, time: time)
        self.isIllness = isIllness
    }

    /// Whether the tier may be called now. Unless the answer is ``CircuitBreaker/Admission/no``, ``call(_:)`` must
    /// follow.
    func admit() -> CircuitBreaker.Admission { breaker.admit() }

    /// Whether the tier was of no use lately, and is only called to find out whether that is still so.
    var isOpen: Bool { breaker.isOpen }

    /// Leaves the tier alone for a while, however few calls failed.
    func open() { breaker.open() }

    /// Calls the tier, and takes note of how that ended. Throws only if the task is cancelled.
    func call<T>(_ body: () async throws -> T) async throws -> Result<T, any Error> {
        do {
            let answer = try await body()
            breaker.succeeded()
            return .success(answer)
        } catch {
            if Task.isCancelled {
                breaker.abandoned()
                throw CancellationError()
            }
            if isIllness(error) { breaker.failed() } else { breaker.succeeded() }
            return .failure(error)
        }
    }

    /// As ``call(_:)``, on the calling thread and without an admission: for a tier that is not left alone.
    func callAtOnce<T>(_ body: () throws -> T) -> Result<T, any Error> {
        let result = Result { try body() }
        switch result {
        case .failure(let error) where isIllness(error): breaker.failed()
        case .success, .failure: breaker.succeeded()
        }
        return result
    }
}
