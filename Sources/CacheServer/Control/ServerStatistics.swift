/// What `GET /v1/stats` answers, as JSON with these names. Counters begin at the start of the daemon; sizes are bytes.
public struct ServerStatistics: Codable, Sendable, Hashable {
    /// What a tier holds and has dropped to make room.
    public struct Tier: Codable, Sendable, Hashable {
        public var chunks: Int
        public var bytes: Int
        public var capacity: Int
        public var hits: Int
        public var evictions: Int
    }

    public struct Puts: Codable, Sendable, Hashable {
        public var stored: Int
        public var alreadyPresent: Int
        public var refused: Int
    }

    public struct Connections: Codable, Sendable, Hashable {
        public var open: Int
        public var accepted: Int
        public var refused: Int
        public var timedOut: Int
    }

    public var uptimeSeconds: Double
    public var memory: Tier
    public var disk: Tier
    /// Chunks that were asked for and found in no tier.
    public var misses: Int
    /// Damaged chunks that were found, dropped and announced to the client as a repair.
    public var repairs: Int
    public var puts: Puts
    public var requests: Int
    /// Requests and chunks turned away with 503, 507 or 500.
    public var refusals: Int
    public var bytesIn: Int
    public var bytesOut: Int
    public var bytesInFlight: Int
    public var connections: Connections
}
