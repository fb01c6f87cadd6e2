/// The time that reads may lose by waiting for a tier: an amount that is there at first, and a share of all time that
/// comes back.
///
/// Reads that would take `t` without the tier take at most `(t + capacity) / (1 - share)` with it, if all that it costs
/// them is spent here.
struct WaitBudget: Sendable {
    /// A tier that costs its readers a quarter of their time is slow, but may be worth it.
    static let share = 0.25

    private(set) var capacity: Duration
    private var share: Double
    private var amount: Duration
    private var filledAt: Duration?

    init(_ capacity: Duration, share: Double = Self.share) {
        self.capacity = capacity
        self.share = share
        amount = capacity
    }

    /// What it has is another part of the whole from now on.
    mutating func resize(_ capacity: Duration, share: Double, now: Duration) {
        let left = left(now: now)
        amount = self.capacity > .zero ? capacity * (left / self.capacity) : capacity
        self.capacity = capacity
        self.share = share
    }

    /// What is left; below zero if a wait took longer than was left when it began.
    mutating func left(now: Duration) -> Duration {
        if let filledAt, now > filledAt { amount = min(capacity, amount + (now - filledAt) * share) }
        filledAt = now
        return amount
    }

    /// When that much is left, if nothing is spent until then.
    mutating func time(of wanted: Duration, now: Duration) -> Duration {
        now + max(wanted - left(now: now), .zero) / share
    }

    mutating func spend(_ time: Duration, now: Duration) {
        amount = left(now: now) - max(time, .zero)
    }
}
