/// Every bound that an NBD server keeps towards its clients.
///
/// A connection holds at most ``bytesInFlight`` of the device, or one request that is larger, and some 100 KiB: with
/// clients that negotiate structured replies, as all of today do, the server holds at most
/// ``connections`` x ``bytesInFlight``.
public struct NBDLimits: Sendable, Hashable {
    /// Connections at a time. One beyond is closed as soon as it is there.
    public var connections = 128
    /// How long a client may take from the connection to its choice of an export. Beyond: the connection ends.
    public var negotiationTime: Duration = .seconds(10)
    /// Options that a client may send before it chooses an export. Beyond: the connection ends.
    public var options = 64
    /// Bytes of one option. Beyond: the connection ends.
    public var optionBytes = 16 * 1024
    /// Bytes of one READ or CACHE, and of the data of a WRITE, which is dropped. Announced to clients; beyond, READ and
    /// CACHE fail with EINVAL, and a WRITE ends the connection.
    public var requestBytes = 32 * 1024 * 1024
    /// Requests of one connection at a time; the next waits unread.
    public var requestsInFlight = 128
    /// Bytes of one connection that are being read, or that the client has not taken yet. The next request waits
    /// unread until there is room for it; one that is larger waits until it is alone.
    public var bytesInFlight = 8 * 1024 * 1024
    /// How long a server that stops waits for requests under way; then it closes their connections.
    public var drainTime: Duration = .seconds(5)
    /// Threads that serve connections.
    public var threads = 1

    public init() {}
}
