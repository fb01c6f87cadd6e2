internal import NIOCore

/// How long the next in line would wait, by how fast those before it got their turns. A pure value.
///
/// Who would wait for longer than it may is better told at once: it has lost nothing then, and those in line have less
/// before them.
struct WaitForecast {
    /// Time from one turn to the next, of late.
    private var interval = TimeAmount.zero
    private var last: NIODeadline?

    /// What one more turn counts for beside those before it.
    private static let weight = 16.0

    /// Somebody got a turn.
    /// - Parameter others: whether more wait: what comes after an empty line says nothing of how fast it moves.
    mutating func turned(at now: NIODeadline, others: Bool) {
        if let last {
            let latest = Double((now - last).nanoseconds)
            let old = Double(interval.nanoseconds)
            interval = .nanoseconds(Int64(old + (latest - old) / Self.weight))
        }
        last = others ? now : nil
    }

    /// The expected wait behind so many.
    func wait(behind count: Int) -> TimeAmount { interval * count }
}
