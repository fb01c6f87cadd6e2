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

    /// Whether one more may be left out for being late: at least half of all are to be asked.
    var canSpareOne: Bool { scores.count * 2 >= count }
}
