public import CacheCore

/// Where the tiers of a cache are and how much each may use. Every limit has a default that suits a worker host.
public struct CacheConfiguration: Sendable {
    var l1Settings: L1Settings
    var l2Settings: L2Settings
    var l3Settings: L3Settings
    /// Bytes of decoded chunks kept in memory.
    public var memoryBytes: Int = 64 << 20
    /// Sealed bytes on their way into L1, and as many into L2. Beyond them a reader waits for as long as the tier's
    /// budget allows, and drops the fill then.
    public var fillBytes: Int = 32 << 20
    /// Chunks that one streaming read has under way at once.
    public var readAhead: Int = 32
    /// Threads that read L1, check, decrypt and decompress; `nil` for one a core.
    public var threads: Int?
    /// Milliseconds since 1970: tells which of two values of a ref this host saw last.
    package var now: @Sendable () -> UInt64 = SystemClock.milliseconds

    /// A cache above `l3`, with the limits of a worker host; change them before it is opened.
    public init(l1Directory: String? = nil, l1Capacity: UInt64 = 10 << 30, l2: [String] = [], l3: any ObjectStore) {
        l1Settings = L1Settings(directory: l1Directory, capacity: l1Capacity)
        l2Settings = L2Settings(urls: l2)
        l3Settings = L3Settings(store: l3)
    }
}

/// The store on this host's disk.
struct L1Settings: Sendable {
    var directory: String?
    var capacity: UInt64
    var deadline: Duration = .seconds(5)
}

/// The daemons.
struct L2Settings: Sendable {
    var urls: [String]
    var security = L2Security()
    var deadline: Duration = .seconds(2)
    /// How long a connection may take to come about.
    var connectTimeout: Duration = .seconds(1)
    var patience: Duration = .milliseconds(400)
    var wait: Duration = .seconds(5)
    var connections: Int = 16
    /// How often names of daemons are looked up.
    var lookupInterval: Duration = .seconds(10)
    /// The addresses of a name; blocks.
    var resolve: @Sendable (_ name: String) throws -> [String] = { try HostLookup.addresses(of: $0) }
}

/// The files by which this host and the daemons know one another.
public struct L2Security: Sendable, Hashable {
    /// The file with this host's token, and nothing else; `nil` for none. It goes to all daemons.
    public var tokenFile: String?
    /// Certificates, as PEM, of the CAs that the daemons' must come from; `nil` for those that the system trusts.
    public var authorityFile: String?
    /// This host's certificate as PEM, with those between it and its CA after it, for daemons that ask for one.
    public var certificateFile: String?
    /// The key of ``certificateFile`` as PEM, without a passphrase.
    public var keyFile: String?

    public init() {}
}

/// The object store.
struct L3Settings: Sendable {
    var store: any ObjectStore
    var deadline: Duration = .seconds(30)
    var refDeadline: Duration = .seconds(2)
    var concurrency: Int = 32
    var queue: Int = 4096
}
