internal import CacheChunks
internal import CacheCrypto
internal import NIOCore

/// Every bound that the daemon keeps towards its clients, and what a client that goes beyond it sees.
///
/// The defaults hold the daemon's memory within `--memory` + 100 MiB: what is not the memory tier is bounded by
/// ``bytesInFlight`` and by ``connections`` times the few KiB that an idle connection costs. With TLS it costs more:
/// ``securedConnections`` are the most that fit.
public struct ServerLimits: Sendable, Hashable {
    /// Bytes of one header field, of the request line, and of all of them together. Beyond: 431, and the connection
    /// ends.
    public var headerBytes = 16 * 1024
    /// Header fields of one request. Beyond: 431, and the connection ends.
    public var headerFields = 64
    /// Bytes of a request target. Beyond: 414.
    public var targetBytes = 2 * 1024
    /// Bytes of a chunk in a PUT, declared or sent. Beyond: 413, before the body is read.
    public var chunkBytes = ChunkLimits.sealedBytes
    /// Ids in one `POST /v1/chunks/missing`. Beyond: 413, before the body is read.
    public var missingIDs = 10_000
    /// Connections at a time. When they are all there, a new one takes the place of one that waits: for a client, for
    /// the rest of a head, or for the end. Where all have something under way, an eighth more, at least 16, may ask
    /// about the daemon's health and numbers; to anything else they get 503 with `Retry-After` and are closed. Of those
    /// that say nothing, the oldest goes first.
    public var connections = 1_000
    /// Parts of requests (heads, pieces of bodies, ends) that a client may send while an earlier request of its
    /// connection is being answered. Beyond: what came before is answered, then 503, and the connection ends.
    public var pipelinedParts = 256
    /// Requests that read or write the store at a time. One beyond waits its turn for up to
    /// ``waitTime``, then gets 503 with `Retry-After`.
    public var requestsInFlight = 512
    /// Bytes of chunks held for requests at a time: PUT bodies that arrive or are being stored, and GET bodies until
    /// the kernel has taken them. Bodies of PUTs may take half of it. Shared evenly by the event loops, at least one
    /// chunk each. A request beyond waits as above; meanwhile a client that holds some and neither sends nor reads for
    /// half of ``waitTime`` is cut off.
    public var bytesInFlight = 64 * 1024 * 1024
    /// Leases that are out at a time. Beyond: a miss is a bare 404.
    public var leases = 16_384
    /// Requests that stand in line for another's fill, in all and for one chunk; each has a connection of its own, of
    /// which some must be left for those who fill. Beyond: a bare 404 at once.
    public var leaseWaiters = LeaseWaiters()
    var timeouts = ServerTimeouts()

    public init() {}
}

/// How many requests may stand in line for fills.
public struct LeaseWaiters: Sendable, Hashable {
    public var total = 750
    public var perChunk = 512

    public init() {}
}

extension ServerLimits {
    /// Probe-only connections beyond ``connections``, which may ask about the daemon: probes must work when nothing
    /// else does.
    var probeConnections: Int { max(connections / 8, 16) }

    /// What a connection with TLS keeps once a chunk has gone each way on it, in bytes; it counts as in flight. One
    /// without takes a few KiB.
    static let securedConnectionBytes = 128 * 1024

    /// So many connections with TLS leave a quarter of ``bytesInFlight`` to requests: beyond them the daemon's memory
    /// is more than `--memory` + 100 MiB.
    public var securedConnections: Int { max(bytesInFlight / 4 * 3 / Self.securedConnectionBytes, 16) }

    /// Who stands in line holds a connection: a quarter of them is left for those who fill.
    mutating func leaveConnectionsToFillers() {
        leaseWaiters.total = min(leaseWaiters.total, max(connections / 4 * 3, 1))
    }

    /// Connections for reads that each of so many workers may have: as many as can stand in line together. Beside each
    /// three of them there is room for one that fills.
    func connectionShare(of workers: Int) -> Int { max(leaseWaiters.total / max(workers, 1), 2) }

    /// The most bytes that one request can ever hold: with a smaller budget in flight it would wait for ever.
    var largestBody: Int { max(chunkBytes, ChunkLimits.sealedBytes, missingIDs * SHA256Digest.byteCount) }

    /// How often deadlines, and the files of ``ServerSecurity``, are looked at: four times in the shortest of them, at
    /// most once in 5 ms, at least twice a second.
    var tick: TimeAmount {
        min(max(TimeAmount(timeouts.shortest / 4), .milliseconds(5)), .milliseconds(500))
    }
}
