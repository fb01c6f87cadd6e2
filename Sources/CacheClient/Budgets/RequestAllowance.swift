/// How many requests may be made beside those that had to be: a share of these, saved up to a bound. A pure value.
struct RequestAllowance: Sendable {
    private let share: Double
    private let most: Double
    private var saved: Double

    /// - Parameters:
    ///   - share: of the requests, 0 to 1.
    ///   - most: how many may be saved up, at least 1.
    ///   - first: how many there are before any request was made.
    init(share: Double, most: Double, atFirst first: Double = 0) {
        self.share = share
        self.most = most
        saved = first
    }

    /// A request was made that had to be.
    mutating func earn() { saved = min(saved + share, most) }

    /// Takes one more request off; false if there is none left.
    mutating func spend() -> Bool {
        guard saved >= 1 else { return false }
        saved -= 1
        return true
    }
}
