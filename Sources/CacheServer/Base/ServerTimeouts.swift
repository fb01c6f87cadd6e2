/// How long the daemon waits for its clients and its own parts. Each is above zero.
public struct ServerTimeouts: Sendable, Hashable {
    /// How long a request stands in line for ``ServerLimits/bytesInFlight`` and ``ServerLimits/requestsInFlight``.
    public var wait: Duration = .seconds(2)
    /// How long a connection may stay open between two requests.
    public var idle: Duration = .seconds(60)
    /// How long one request may take, from its first byte until the kernel has taken the last byte of the response. A request
    /// that is not complete by then gets 408; a response that the client does not read is cut off.
    public var request: Duration = .seconds(15)
    /// How long a connection that the daemon has ended waits for the client to read the last response and close, too.
    public var linger: Duration = .seconds(2)
    /// How long requests under way may take to finish once the daemon is told to stop.
    public var drain: Duration = .seconds(10)

    public init() {}
}

extension ServerTimeouts {
    var shortest: Duration { min(wait, idle, request, linger, drain) }
}
