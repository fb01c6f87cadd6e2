public import CacheCore

/// Where the tiers of a cache are and how much each may use. Every limit has a default that suits a worker host.
public struct CacheConfiguration: Sendable {
    /// The directory of L1; `nil` for a cache without one.
    public var l1Directory: String?
    /// The most bytes that L1 takes on disk.
    public var l1Capacity: UInt64
    /// The L2 daemons, `http://host:port` each; none for a cache without L2.
    public var l2: [String]
    /// The object store with the only durable copy of everything.
    public var l3: any ObjectStore
    /// Bytes of decoded chunks kept in memory.
    public var memoryBytes: Int = 64 << 20
    /// How long L1 may take to open, how long one read of it may take, and how much time an L1 that is ill may cost in all, besides a
    /// quarter of the time that reads take.
    public var l1Deadline: Duration = .seconds(5)
    /// How long one request to L2 may take.
    public var l2Deadline: Duration = .seconds(2)
    /// How much time L2 may cost in all, besides a quarter of the time that reads take: a read that waits for half of what is left of it
    /// asks L3 as well, and an L2 that has used it up is left out unless it turns out to be as fast as L3.
    public var l2Patience: Duration = .milliseconds(400)
    /// How long one read of L3 may take before the reader gets an error.
    public var l3Deadline: Duration = .seconds(30)
    /// How long L3 may take to say what a ref names if this host has seen the ref before, until what it saw last is used; a ref that it has not
    /// seen is waited for as long as any read of L3.
    public var refDeadline: Duration = .seconds(2)
    /// Reads of L3 under way at once; the rest waits in line.
    public var l3Concurrency: Int = 32
    /// Reads that may wait for L3; one more is refused with `.overloaded`, as is opening an image while they all do.
    public var l3Queue: Int = 4096
    /// Connections to each L2 daemon for reads, and as many for fills.
    public var l2Connections: Int = 16
    /// Sealed bytes on their way into L1, and as many into L2; beyond them a reader waits as long as there is patience, and drops the fill then.
    public var fillBytes: Int = 32 << 20
    /// Chunks that one streaming read has under way at once.
    public var readAhead: Int = 32
    /// Threads that read L1, check, decrypt and decompress; `nil` for one a core.
    public var threads: Int?
    /// Milliseconds since 1970: tells which of two values of a ref this host saw last.
    package var now: @Sendable () -> UInt64 = SystemClock.milliseconds

    /// A cache above `l3`, with the limits of a worker host; change them before it is opened.
    public init(l1Directory: String? = nil, l1Capacity: UInt64 = 10 << 30, l2: [String] = [], l3: any ObjectStore) {
        self.l1Directory = l1Directory
        self.l1Capacity = l1Capacity
        self.l2 = l2
        self.l3 = l3
    }
}
