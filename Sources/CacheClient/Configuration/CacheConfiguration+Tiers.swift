public import CacheCore

extension CacheConfiguration {
    // MARK: L1

    /// The directory of L1; `nil` for a cache without one.
    public var l1Directory: String? {
        get { l1Settings.directory }
        set { l1Settings.directory = newValue }
    }

    /// The most bytes that L1 takes on disk.
    public var l1Capacity: UInt64 {
        get { l1Settings.capacity }
        set { l1Settings.capacity = newValue }
    }

    /// How long L1 may take to open, how long one read of it may take, and how much time an L1 that is ill may cost in
    /// all, besides a quarter of the time that reads take.
    public var l1Deadline: Duration {
        get { l1Settings.deadline }
        set { l1Settings.deadline = newValue }
    }

    // MARK: L2

    /// The L2 daemons, `http://host:port` or `https://host:port` each; none for a cache without L2. With
    /// `dns+http://name:port` or `dns+https://name:port`, each address of the name is one; the name is looked up again
    /// every ten seconds as long as there are reads, and is what their certificates must be for.
    public var l2: [String] {
        get { l2Settings.urls }
        set { l2Settings.urls = newValue }
    }

    /// How the daemons and this host know one another. The files are read when the cache is opened, and again when they
    /// change. A daemon that does not want this host, or that this host does not want, is one that is ill.
    public var l2Security: L2Security {
        get { l2Settings.security }
        set { l2Settings.security = newValue }
    }

    /// How long a connection to L2 may take to come about: 1 s.
    package var l2ConnectTimeout: Duration {
        get { l2Settings.connectTimeout }
        set { l2Settings.connectTimeout = newValue }
    }

    /// How long one request to L2 may take.
    public var l2Deadline: Duration {
        get { l2Settings.deadline }
        set { l2Settings.deadline = newValue }
    }

    /// How much time L2 may cost in all, besides a quarter of the time that reads take: a read that waits for half of
    /// what is left of it asks L3 as well, and an L2 that has used it up is left out unless it turns out to be as fast
    /// as L3.
    public var l2Patience: Duration {
        get { l2Settings.patience }
        set { l2Settings.patience = newValue }
    }

    /// How long a read may wait at L2 for a chunk that another worker is bringing there, once the daemon has said so:
    /// in whole seconds, so that less than one is no wait. Fills that do not come may cost as much in all, besides a
    /// tenth of the time that reads take.
    public var l2Wait: Duration {
        get { l2Settings.wait }
        set { l2Settings.wait = newValue }
    }

    /// What finds the addresses of a name, in the place of the system's resolver, for hosts that know their daemons
    /// from elsewhere. Called on a thread of its own, which it may block.
    public var l2Resolver: @Sendable (_ name: String) throws -> [String] {
        get { l2Settings.resolve }
        set { l2Settings.resolve = newValue }
    }

    /// Connections to each L2 daemon for reads, and as many for fills.
    public var l2Connections: Int {
        get { l2Settings.connections }
        set { l2Settings.connections = newValue }
    }

    // MARK: L3

    /// The object store with the only durable copy of everything.
    public var l3: any ObjectStore {
        get { l3Settings.store }
        set { l3Settings.store = newValue }
    }

    /// How long one read of L3 may take before the reader gets an error.
    public var l3Deadline: Duration {
        get { l3Settings.deadline }
        set { l3Settings.deadline = newValue }
    }

    /// How long L3 may take to say what a ref names if this host has seen the ref before, until what it saw last is
    /// used; a ref that it has not seen is waited for as long as any read of L3.
    public var refDeadline: Duration {
        get { l3Settings.refDeadline }
        set { l3Settings.refDeadline = newValue }
    }

    /// Reads of L3 under way at once; the rest waits in line.
    public var l3Concurrency: Int {
        get { l3Settings.concurrency }
        set { l3Settings.concurrency = newValue }
    }

    /// Reads that may wait for L3; one more is refused with `.overloaded`, as is opening an image while they all do.
    public var l3Queue: Int {
        get { l3Settings.queue }
        set { l3Settings.queue = newValue }
    }

    // MARK: All tiers

    /// How long the tiers may take for one chunk, one after the other.
    package var readDeadline: Duration { l1Deadline + l2ReadDeadline + l3Deadline }

    /// How long one read of L2 may take on the busiest machine, in line for a fill and after it.
    var l2ReadDeadline: Duration { l2.isEmpty ? .zero : (l2Deadline + l2Wait) * MachineLoad.longestStretch }
}
