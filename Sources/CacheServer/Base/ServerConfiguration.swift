internal import CacheBase

/// What a daemon needs to know to start.
public struct ServerConfiguration: Sendable, Hashable {
    /// The address to listen on: a name or an IP address.
    public var host: String
    /// The port to listen on; 0 lets the system choose one.
    public var port: Int
    /// The directory of the chunk store; it is created if it is not there.
    public var storeDirectory: String
    /// Bytes that the store may take on disk.
    public var capacity: UInt64
    /// Bytes of chunks that are kept in memory above the store; 0 keeps none.
    public var memoryBytes: Int
    /// Bytes a second that the scrub reads and checks while nothing else is to be done; 0 for no scrub.
    public var scrubBytesPerSecond = 16 * 1024 * 1024
    /// Threads that serve the network. One moves several GB/s; more help once it is busy.
    public var eventLoopThreads: Int
    /// Threads that read the store and hash what is put. Each may wait for a disk.
    public var storeThreads: Int
    /// Bounds for clients: sizes, counts and times.
    public var limits: ServerLimits
    /// How long the daemon goes on serving once it is told to stop, with `/readyz` saying that it will: load balancers
    /// and clients that look there leave it meanwhile.
    public var shutdownDelay = Duration.zero
    /// URLs of the daemons of the zone, this one included, for people who look at its page.
    public var ring: [String] = []
    /// Who may come in, and how the daemon shows who it is.
    public var security = ServerSecurity()

    public init(
        host: String = "127.0.0.1", port: Int = 0, storeDirectory: String, capacity: UInt64,
        memoryBytes: Int = 256 * 1024 * 1024, eventLoopThreads: Int = 1, storeThreads: Int = 4,
        limits: ServerLimits = ServerLimits()
    ) {
        self.host = host
        self.port = port
        self.storeDirectory = storeDirectory
        self.capacity = capacity
        self.memoryBytes = memoryBytes
        self.eventLoopThreads = eventLoopThreads
        self.storeThreads = storeThreads
        self.limits = limits
    }
}

extension ServerConfiguration {
    /// - Throws: ``CacheError`` that names the first value that no daemon could run with.
    func validate() throws {
        func check(_ valid: Bool, _ what: String) throws {
            guard valid else { throw CacheError(.invalidInput, "server configuration: \(what)") }
        }
        try check((0...65_535).contains(port), "port \(port) is not in 0...65535")
        try check(memoryBytes >= 0, "memory of \(memoryBytes) bytes is negative")
        try check(scrubBytesPerSecond >= 0, "a scrub of \(scrubBytesPerSecond) bytes a second is negative")
        try check((1...1_024).contains(eventLoopThreads), "\(eventLoopThreads) event loop threads are not in 1...1024")
        try check((1...1_024).contains(storeThreads), "\(storeThreads) store threads are not in 1...1024")
        let counts = [
            limits.headerBytes, limits.headerFields, limits.targetBytes, limits.chunkBytes, limits.missingIDs,
            limits.connections, limits.pipelinedParts, limits.requestsInFlight, limits.bytesInFlight,
            limits.leases, limits.leaseWaiters.total, limits.leaseWaiters.perChunk,
        ]
        try check(counts.allSatisfy { $0 > 0 }, "every limit must be above zero")
        try check(limits.timeouts.shortest > .zero, "every time limit must be above zero")
        try check(
            (security.certificateFile == nil) == (security.keyFile == nil),
            "a certificate needs its private key, and a key its certificate")
        try check(
            security.clientAuthorityFile == nil || security.certificateFile != nil,
            "clients can be asked for certificates only where the daemon has one itself")
    }
}
