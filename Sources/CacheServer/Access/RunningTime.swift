internal import NIOCore

/// How long something takes, as far as this process ran meanwhile: one that was stopped, or whose machine was, has no
/// reason to think that a disk did not answer. A pure value.
struct RunningTime: Hashable {
    private var last: NIODeadline
    private var taken = TimeAmount.zero
    /// A longer step says that the process did not run.
    static let longestStep = TimeAmount.seconds(1)

    init(since now: NIODeadline) { last = now }

    /// To be called about twice a second.
    /// - Returns: the time since the beginning.
    mutating func step(to now: NIODeadline) -> TimeAmount {
        taken = taken + min(now - last, Self.longestStep)
        last = now
        return taken
    }
}
