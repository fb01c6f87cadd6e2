/// Why a request was turned away before any work was done for it: the daemon had as much to do as it can, and does that
/// faster without one more. The raw values are labels of metrics.
enum ShedReason: String, CaseIterable {
    /// All connections had something under way.
    case connections
    /// It waited for bytes or requests in flight for as long as it may.
    case inFlight = "in_flight"
    /// It would have waited for longer than it may, by how fast those before it got on.
    case forecast
    /// Its connection sent more before it had its answers than one may.
    case pipelined
    /// The store has too much to do, or is closing.
    case store
    /// Too many reports of damage have found nothing.
    case reports
}
