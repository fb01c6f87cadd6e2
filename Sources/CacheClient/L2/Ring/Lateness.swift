/// How often a daemon answers later than the others do. A pure value.
///
/// A late answer counts one, or two if it is twice as late, and one in time takes an eighth off: the score of a daemon
/// that is late less than once in seventeen stays low. Of requests that were under way together one counts: what stops
/// a machine for a moment makes all of them late.
struct Lateness: Sendable {
    private static let most = 5.0
    private static let mostAtOnce = 2.0
    private static let forgiven = 0.125
    /// Where half of the others are as late as that, everything is slow, and nobody stands out.
    private static let mostOfOthers = 2.0
    /// An answer is late that takes so many times as long as 95 of 100 of the others', and a slack.
    private static let factor = 2.0

    private(set) var score = 0.0
    private var lastLate: Duration?

    /// - Parameter high: within which 95 of 100 answers of the other daemons come.
    static func bound(_ high: Duration, slack: Duration) -> Duration { high * factor + slack }

    /// An answer has come, or is known to take longer than `took`.
    /// - Parameter bound: beyond which it is late.
    mutating func note(_ took: Duration, bound: Duration, began: Duration, now: Duration) {
        guard took > bound else {
            score = max(score - Self.forgiven, 0)
            return
        }
        if let lastLate, began <= lastLate { return }
        lastLate = now
        score = min(score + min(took / bound, Self.mostAtOnce), Self.most)
    }

    /// Whether the daemon is late, and the others are not.
    /// - Parameter others: the scores of those that are asked, in any order.
    func standsOut(among others: [Double]) -> Bool {
        guard score >= Self.most, !others.isEmpty else { return false }
        return others.sorted()[others.count / 2] <= Self.mostOfOthers
    }
}
