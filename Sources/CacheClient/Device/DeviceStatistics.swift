/// What readers asked of a device since it was opened, and where it came from.
public struct DeviceStatistics: Sendable, Hashable, Codable {
    /// What was asked for.
    public struct Asked: Sendable, Hashable, Codable {
        /// Reads that were answered or failed.
        public let reads: Int
        /// Their bytes.
        public let bytes: Int
    }

    /// What each tier delivered, what was fetched ahead included: sealed bytes, but for memory those that were asked
    /// for.
    public struct Tiers: Sendable, Hashable, Codable {
        public let memory: TierCount
        public let l1: TierCount
        public let l2: TierCount
        public let l3: TierCount
    }

    /// What was fetched before anybody asked for it, by trace or because all was wanted.
    public struct Prefetch: Sendable, Hashable, Codable {
        public let chunks: Int
        /// Those of them that somebody asked for since.
        public let used: Int
    }

    /// Damaged chunks that were dropped and fetched again from below.
    public struct Repaired: Sendable, Hashable, Codable {
        public let l1: Int
        public let l2: Int
    }

    public let asked: Asked
    public let tiers: Tiers
    public let prefetch: Prefetch
    public let repaired: Repaired
    /// The daemons of L2 as the whole cache sees them; `nil` without L2.
    public let ring: L2RingStatistics?
}
