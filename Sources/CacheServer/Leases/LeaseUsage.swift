/// The numbers of leases: counts since the start of the daemon, and what there is now.
struct LeaseUsage: Hashable, Sendable {
    /// Leases given, those that were handed on included.
    var given = 0
    /// Leases whose time was over without a fill.
    var expired = 0
    /// Leases that their holders gave up, or that ended with a body that was not the chunk.
    var givenUp = 0
    /// Requests that stood in line.
    var waits = 0
    /// Those of them that got the chunk.
    var waitsFilled = 0
    /// Those of them that got the lease, because it passed on.
    var waitsLeased = 0
    /// Those of them that left with neither: their time was over, or their client left.
    var waitsInVain = 0
    /// Requests that got neither a lease nor a place in line because a bound was reached.
    var refused = 0
    /// Leases that are out now.
    var leases = 0
    /// Requests that stand in line now.
    var waiters = 0
}
