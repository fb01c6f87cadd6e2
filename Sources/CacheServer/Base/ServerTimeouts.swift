/// How long the daemon waits for its clients and its own parts: the times of ``ServerLimits``, which says what each is.
/// Each is above zero.
struct ServerTimeouts: Sendable, Hashable {
    var wait: Duration = .seconds(2)
    var idle: Duration = .seconds(60)
    var request: Duration = .seconds(15)
    var linger: Duration = .seconds(2)
    var drain: Duration = .seconds(10)
    var handshake: Duration = .seconds(5)
    var lease: Duration = .seconds(3)
    var leaseWait: Duration = .seconds(30)
}

extension ServerTimeouts {
    var shortest: Duration { min(wait, idle, request, linger, drain, handshake, lease, leaseWait) }
}

extension ServerLimits {
    /// How long a request stands in line for ``bytesInFlight`` and ``requestsInFlight``.
    public var waitTime: Duration {
        get { timeouts.wait }
        set { timeouts.wait = newValue }
    }

    /// How long a connection may stay open between two requests.
    public var idleTime: Duration {
        get { timeouts.idle }
        set { timeouts.idle = newValue }
    }

    /// How long one request may take, from its first byte until the kernel has taken the last byte of the response. A
    /// request that is not complete by then gets 408; a response that the client does not read is cut off.
    public var requestTime: Duration {
        get { timeouts.request }
        set { timeouts.request = newValue }
    }

    /// How long a connection that the daemon has ended waits for the client to read the last response and close, too.
    public var lingerTime: Duration {
        get { timeouts.linger }
        set { timeouts.linger = newValue }
    }

    /// How long the handshake of TLS may take from the moment in which the connection was accepted.
    public var handshakeTime: Duration {
        get { timeouts.handshake }
        set { timeouts.handshake = newValue }
    }

    /// How long a lease holds: who has not filled by then may be dead, and the next in line fills.
    public var leaseTime: Duration {
        get { timeouts.lease }
        set { timeouts.lease = newValue }
    }

    /// The longest that a request may stand in line for another's fill, whatever it prefers.
    public var leaseWait: Duration {
        get { timeouts.leaseWait }
        set { timeouts.leaseWait = newValue }
    }

    /// How long requests under way may take to finish once the daemon is told to stop.
    public var drainTime: Duration {
        get { timeouts.drain }
        set { timeouts.drain = newValue }
    }
}
