/// The requests to L2 that are made beside those that reads need, each under a budget, and their numbers. A pure value.
struct L2Extras: Sendable {
    /// Hedges: at most a twentieth of the reads.
    private var hedging = RequestAllowance(share: 0.05, most: 10)
    /// Requests to another daemon after one has failed: at most a fifth of the reads, and ten.
    private var retrying = RequestAllowance(share: 0.2, most: 10, atFirst: 10)
    private(set) var reads = 0
    private(set) var hedges = 0
    private(set) var retries = 0

    mutating func read() {
        reads += 1
        hedging.earn()
        retrying.earn()
    }

    mutating func hedge() -> Bool {
        guard hedging.spend() else { return false }
        hedges += 1
        return true
    }

    mutating func retry() -> Bool {
        guard retrying.spend() else { return false }
        retries += 1
        return true
    }
}
