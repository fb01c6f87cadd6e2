public import CacheBase

/// Which failed calls of an object store are made again, how often, and after what wait.
///
/// The wait after attempt `n` is a random part of `min(longestWait, firstWait * 2^(n-1))`, so that clients that failed
/// together do not come back together ("full jitter": Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog,
/// 2015).
public struct RetryPolicy: Sendable, Hashable {
    /// How often a call is made at most, the first time included; at least 1.
    public var attempts: Int
    /// The longest wait after the first attempt; it doubles with each further one.
    public var firstWait: Duration
    /// No wait is longer than this.
    public var longestWait: Duration
    /// The errors that may be over when the call is made again. Every other one is final at once.
    public var transientCodes: Set<CacheError.Code>

    public init(
        attempts: Int = 4, firstWait: Duration = .milliseconds(100), longestWait: Duration = .seconds(2),
        transientCodes: Set<CacheError.Code> = [.timedOut, .overloaded]
    ) {
        self.attempts = max(attempts, 1)
        self.firstWait = firstWait
        self.longestWait = longestWait
        self.transientCodes = transientCodes
    }

    /// The wait after the attempt of that number, from 1 on.
    /// - Parameter jitter: a random number in `0..<1`.
    package func wait(afterAttempt attempt: Int, jitter: Double) -> Duration {
        // 2^20 times any sensible first wait is above the longest one; a shift further could overflow.
        min(firstWait * (1 << min(max(attempt - 1, 0), 20)), longestWait) * jitter
    }
}
