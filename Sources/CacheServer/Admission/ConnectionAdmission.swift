internal import NIOCore

/// Decides who has a connection when not all clients can, for one event loop. A pure value; its user accepts and
/// closes.
///
/// A connection that is not used is worth less than one that a client asks for: once the limit is reached, a new one
/// takes the place of one that waits, or that is hardly used. Where all have something under way, or had a moment ago,
/// the new one is a *probe-only* connection: it may ask for health and statistics, and is answered 503 otherwise. So
/// clients that come on and on do not drive out those that are served.
struct ConnectionAdmission {
    enum Decision: Hashable {
        case serve
        /// Serve it, and close another one of this event loop for it.
        case replace(ConnectionID)
        /// Serve it, and have the event loop of this number close one.
        case replaceElsewhere(Int)
        /// No place is left but one for a probe.
        case probeOnly
    }

    /// What became of a new connection.
    enum Outcome: Hashable { case served, probeOnly, dropped }

    /// How long a head may be on its way before its connection gives way ahead of those that have proven themselves.
    private static let headGrace = TimeAmount.seconds(1)
    /// How long a connection may be idle until it gives way.
    private static let idleGrace = TimeAmount.seconds(1)

    /// Connections at a time, over all event loops; and probe-only ones beyond them.
    private var limit: Int
    private var probeLimit: Int
    private(set) var order = EvictionOrder()
    /// Whether a connection has found no place since this was last reset.
    var isCrowded = false

    init(limit: Int, probeLimit: Int) {
        self.limit = limit
        self.probeLimit = probeLimit
    }

    /// Those that are open beyond a lower limit stay until they wait, and a new one comes.
    mutating func change(limit: Int, probeLimit: Int) {
        self.limit = limit
        self.probeLimit = probeLimit
    }

    mutating func add() -> ConnectionID { order.add() }

    mutating func remove(_ connection: ConnectionID) { order.remove(connection) }

    /// From `now` on a connection may be closed for a new one.
    mutating func makeEvictable(_ connection: ConnectionID, as members: EvictionOrder.Class, at now: NIODeadline) {
        order.join(connection, members, at: now)
    }

    /// A connection may not be closed for a new one any more: it has something under way.
    mutating func protect(_ connection: ConnectionID) { order.leave(connection) }

    /// A part of a head has come: a connection that was idle counts as unproven until the rest of it comes.
    mutating func noteIncompleteHead(_ connection: ConnectionID, at now: NIODeadline) {
        if order.membership(of: connection) == .idle { order.join(connection, .unproven, at: now) }
    }

    /// A connection that has a request under way is slow with it, or is so no more.
    mutating func note(_ connection: ConnectionID, isSlow: Bool, at now: NIODeadline) {
        switch order.membership(of: connection) {
        case nil where isSlow: order.join(connection, .slow, at: now)
        case .slow where !isSlow: order.leave(connection)
        default: break
        }
    }

    /// Decides about a new connection.
    /// - Parameters:
    ///   - open: connections over all event loops, this one included, probe-only ones not.
    ///   - elsewhere: finds an event loop that has a connection to close; asked only if this one has none.
    mutating func decide(open: Int, at now: NIODeadline, elsewhere: () -> Int?) -> Decision {
        if open <= limit { return .serve }
        if let victim = victim(at: now) { return .replace(victim) }
        // What another event loop closes is still counted for a moment, so the limit may be passed, but not by far.
        if open <= limit + probeLimit, let loop = elsewhere() { return .replaceElsewhere(loop) }
        isCrowded = true
        return .probeOnly
    }

    /// The connection that gives way to a new one: one whose head has been on its way for long, or any unproven one
    /// while those are more than half of all, as in a flood; then the one that has been slow for longest, the one that
    /// has been idle for longest if that is long, one that lingers, and at last the oldest unproven one.
    func victim(at now: NIODeadline) -> ConnectionID? {
        let unproven = order.first(of: .unproven)
        if let unproven,
            order.since(unproven) <= now - Self.headGrace || order.count(of: .unproven) > limit / 2
        {
            return unproven
        }
        if let slow = order.first(of: .slow) { return slow }
        if let idle = order.first(of: .idle), order.since(idle) <= now - Self.idleGrace { return idle }
        return order.first(of: .lingering) ?? unproven
    }

    /// Connections that could give way to one of another event loop.
    var evictable: Int {
        order.count(of: .unproven) + order.count(of: .slow) + order.count(of: .idle) + order.count(of: .lingering)
    }
}
