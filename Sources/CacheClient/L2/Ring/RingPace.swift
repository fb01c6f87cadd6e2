/// How the other daemons do that could be asked instead of one. A pure value.
struct RingPace: Sendable {
    /// Half of their hits come within this: the median of their medians; `nil` if that is not known.
    let median: Duration?
    /// The median of the times within which 95 of 100 of their hits come.
    let high: Duration?
    /// How late each of them is (``Lateness/score``).
    let scores: [Double]
    /// How many daemons the ring has, the one included.
    let count: Int

    /// How long a read waits for the daemon before L3 is asked as well, while many fill it at once.
    ///
    /// A daemon that keeps its readers waiting because of that is not alone with it: where the others answer, it is one
    /// that is silent.
    /// - Parameters:
    ///   - long: as is right where all are filled by many.
    ///   - usual: as is right at other times.
    func patience(_ long: Duration, usual: Duration, slack: Duration) -> Duration {
        guard let high else { return long }
        return min(long, max(usual, Lateness.bound(high, slack: slack) * 2))
    }

    /// Whether one more may be left out for being late: at least half of all are to be asked.
    var canSpareOne: Bool { scores.count * 2 >= count }
}
