/// How long the latest answers of a daemon took. A pure value.
///
/// The percentiles are those of up to 256 answers, taken anew after each 16.
struct AnswerTimes: Sendable {
    private static let kept = 256
    private static let renewal = 16
    /// So many answers say something.
    private static let fewest = 32

    private var times: [Duration] = []
    private var next = 0
    private var added = 0
    /// The time within which half of the answers came; `nil` as long as there were too few.
    private(set) var median: Duration?
    /// The time within which 95 of 100 answers came.
    private(set) var high: Duration?

    mutating func add(_ time: Duration) {
        if times.count < Self.kept {
            times.append(time)
        } else {
            times[next] = time
            next = (next + 1) % Self.kept
        }
        added += 1
        guard added >= Self.renewal, times.count >= Self.fewest else { return }
        added = 0
        let ordered = times.sorted()
        median = ordered[ordered.count / 2]
        high = ordered[min(ordered.count * 95 / 100, ordered.count - 1)]
    }
}
