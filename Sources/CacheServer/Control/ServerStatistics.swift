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

    /// PUTs of chunks by what became of them.
    public struct Puts: Codable, Sendable, Hashable {
        public var stored: Int
        public var alreadyPresent: Int
        public var refused: Int
    }

    /// Permissions to fill what was missed, and requests that waited for the fill.
    public struct Leases: Codable, Sendable, Hashable {
        /// Leases that are out now.
        public var open: Int
        /// Requests that stand in line now.
        public var waiting: Int
        /// Leases given, those that passed on to the next in line included.
        public var given: Int
        /// Leases whose time was over without a fill.
        public var expired: Int
        /// Leases that their holders gave up, or lost by a body that was not the chunk.
        public var givenUp: Int
        /// Requests that stood in line.
        public var waits: Int
        /// Those of them that got the chunk.
        public var waitsFilled: Int
        /// Those of them that got the lease, because it passed on.
        public var waitsLeased: Int
        /// Those of them that left with neither.
        public var waitsInVain: Int
        /// Requests beyond a bound, which got neither a lease nor a place in line.
        public var refused: Int
    }

    /// Reports of damaged bytes by clients, and what looking found.
    public struct Reports: Codable, Sendable, Hashable {
        public var received: Int
        /// Looks that found a damaged copy, and dropped it.
        public var dropped: Int
        /// Looks that found the right bytes.
        public var sound: Int
        /// Reports that nobody looked at, because there were too many.
        public var refused: Int
    }

    /// What the scrub did since the daemon started, and where it is.
    public struct Scrub: Codable, Sendable, Hashable {
        /// Bytes a second that it may read; 0 for no scrub.
        public var rate: Int
        public var bytes: Int
        public var chunks: Int
        /// Chunks that were damaged, and dropped.
        public var damaged: Int
        /// Passes through all chunks that were completed.
        public var passes: Int
        /// The part of the present pass that is done, from 0 to 1.
        public var position: Double
        /// When the last pass was complete, in seconds since 1970; 0 for never. Outlives restarts.
        public var lastPass: UInt64
    }

    /// Connections that are open now, and counts since the start.
    public struct Connections: Codable, Sendable, Hashable {
        public var open: Int
        public var accepted: Int
        public var refused: Int
        public var timedOut: Int
    }

    /// Seconds since the daemon started.
    public var uptimeSeconds: Double
    /// Chunks in memory.
    public var memory: Tier
    /// Chunks in the store on disk.
    public var disk: Tier
    /// Chunks that were asked for and found in no tier.
    public var misses: Int
    /// Damaged chunks that were found and dropped: by reads, reports of clients and the scrub.
    public var repairs: Int
    public var reports: Reports
    public var scrub: Scrub
    public var puts: Puts
    public var leases: Leases
    /// Responses of all kinds.
    public var requests: Int
    /// Requests and chunks turned away with 503, 507 or 500.
    public var refusals: Int
    /// Bytes of request bodies.
    public var bytesIn: Int
    /// Bytes of response bodies.
    public var bytesOut: Int
    /// Bytes of chunks held for requests now.
    public var bytesInFlight: Int
    public var connections: Connections
    public var latency: Latency
    public var errors: Errors
    /// Whether requests are welcome, as `/readyz` says it.
    public var ready: Bool
    /// The daemons of the zone, as this one was told.
    public var ring: [String]
}
