extension ServerStatistics {
    /// Requests by how long they took.
    public struct Latency: Codable, Sendable, Hashable {
        /// Successful requests of one kind, from the first byte in to the last byte out.
        public struct Times: Codable, Sendable, Hashable {
            /// How many took no longer than each of ``Latency/bounds`` and longer than the one before; the last count
            /// is of those beyond all bounds.
            public var counts: [Int]
            /// The time of all of them together.
            public var seconds: Double
        }

        /// Seconds, ascending.
        public var bounds: [Double]
        /// GETs of chunks that were in memory.
        public var memory: Times
        /// GETs of chunks from the store.
        public var disk: Times
        public var put: Times
    }

    /// What clients did wrong, or could not do.
    public struct Errors: Codable, Sendable, Hashable {
        /// Requests without a valid token.
        public var unauthorized: Int
        /// Requests with a token of too small a scope.
        public var forbidden: Int
        /// Connections whose handshake of TLS failed.
        public var handshakes: Int
        /// Connections that spoke no HTTP.
        public var malformed: Int
        /// Connections that ended in the middle of a request.
        public var vanished: Int
    }
}

extension ServerStatistics.Latency {
    init(_ counted: RequestMetrics) {
        self.init(
            bounds: Histogram.bounds, memory: Times(counted.memorySeconds), disk: Times(counted.diskSeconds),
            put: Times(counted.putSeconds))
    }
}

extension ServerStatistics.Latency.Times {
    fileprivate init(_ histogram: Histogram) {
        self.init(counts: histogram.counts, seconds: histogram.totalSeconds)
    }
}

extension ServerStatistics.Errors {
    init(_ counted: RequestMetrics) {
        self.init(
            unauthorized: counted.requests.unauthorized, forbidden: counted.requests.forbidden,
            handshakes: counted.connections.handshakesFailed, malformed: counted.requests.malformed,
            vanished: counted.connections.vanished)
    }
}
