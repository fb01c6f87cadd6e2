/// When a serving process that has died is started again: at once, unless it keeps dying young.
struct RestartPace: Sendable {
    /// Deaths without a pause.
    private static let free = 3
    /// One that served for so long did not die young.
    private static let youth = Duration.seconds(1)
    private static let firstPause = Duration.milliseconds(50)
    /// Readers wait meanwhile.
    private static let longestPause = Duration.seconds(1)
    /// One that has never served is given up after so many deaths.
    private static let mostFailures = 5

    private var young = 0

    /// - Parameter served: how long the one that died had served; `nil` for one that never did.
    /// - Returns: how long to wait; `nil` to give up.
    mutating func next(served: Duration?, hasEverServed: Bool) -> Duration? {
        if let served, served >= Self.youth { young = 0 }
        young += 1
        if !hasEverServed, young >= Self.mostFailures { return nil }
        guard young > Self.free else { return .zero }
        return min(Self.firstPause * (1 << min(young - Self.free - 1, 10)), Self.longestPause)
    }
}
