/// When a serving process that has died is started again: at once, unless many die young one after the other.
///
/// Readers wait meanwhile, so those that got as far as serving are followed soon, however often they die; one that
/// cannot even start is tried ever less often.
struct RestartPace: Sendable {
    /// Deaths in a row without a pause.
    private static let free = 3
    /// One that served for so long did not die young.
    private static let youth = Duration.seconds(1)
    /// The first pause, which doubles, and the longest one.
    private static let afterServing = (first: Duration.milliseconds(10), most: Duration.milliseconds(250))
    private static let afterFailing = (first: Duration.milliseconds(100), most: Duration.seconds(5))
    /// A worker none of whose processes has ever served is given up after so many deaths.
    private static let mostFailures = 5

    private var young = 0
    private var failures = 0

    /// - Parameter served: how long the one that died had served; `nil` for one that never did.
    /// - Returns: how long to wait; `nil` to give up.
    mutating func next(served: Duration?, hasEverServed: Bool) -> Duration? {
        guard let served else {
            failures += 1
            if !hasEverServed, failures >= Self.mostFailures { return nil }
            return Self.pause(after: failures, Self.afterFailing)
        }
        failures = 0
        young = served < Self.youth ? young + 1 : 0
        return Self.pause(after: young, Self.afterServing)
    }

    private static func pause(after deaths: Int, _ limits: (first: Duration, most: Duration)) -> Duration {
        guard deaths > free else { return .zero }
        return min(limits.first * (1 << min(deaths - free - 1, 10)), limits.most)
    }
}
