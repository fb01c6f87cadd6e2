/// The time in which a daemon that is new, or was away, is given a growing share of its chunks. A pure value.
struct WarmUp: Sendable, Equatable {
    /// The longest.
    static let longest = Duration.seconds(60)
    /// What it has from the first moment on: without a request nobody learns how it does.
    private static let first = 0.05
    /// For so many times as long as it warms up, it may lack what others have.
    private static let youth = 10

    private let began: Duration
    private let length: Duration

    /// - Parameter away: for how long the daemon had no requests: as long as that, at most a minute, it warms up.
    init(at now: Duration, away: Duration = Self.longest) {
        began = now
        length = min(away, Self.longest)
    }

    /// Whether what the daemon lacks may still be where it was looked for before.
    func isYoung(now: Duration) -> Bool { now - began < length * Self.youth }

    /// From 0 to 1; 1 when it is over.
    func share(now: Duration) -> Double {
        guard now - began < length else { return 1 }
        return max((now - began) / length, Self.first)
    }
}
