internal import NIOCore

/// The in-flight budget of one event loop, and the requests that wait for a part of it. A pure value; its user tells
/// waiters of their turn.
///
/// There is a line for each purpose, because requests that send must not stand in the way of those that read. Within a
/// line the order of arrival holds: nothing is granted to a request while another one waits before it.
struct AdmissionQueue {
    /// A request that waits, and what it waits for.
    struct Waiter: Hashable {
        let connection: ConnectionID
        let wanted: InFlightBudget.Reservation
    }

    private(set) var budget: InFlightBudget
    private var lines = InFlightBudget.Purpose.allCases.map { _ in CircularBuffer<Waiter>() }
    private var forecasts = InFlightBudget.Purpose.allCases.map { _ in WaitForecast() }
    /// Whether its user is telling waiters of their turns: one that is answered at once gives its part back meanwhile.
    var isGranting = false

    init(_ budget: InFlightBudget) {
        self.budget = budget
    }

    /// Whether any request waits.
    var hasWaiters: Bool { lines.contains { !$0.isEmpty } }

    /// How long a request for that purpose would wait if it came into line now.
    func expectedWait(for purpose: InFlightBudget.Purpose) -> TimeAmount {
        forecasts[purpose.rawValue].wait(behind: lines[purpose.rawValue].count)
    }

    /// A waiter has got its turn.
    mutating func turned(_ purpose: InFlightBudget.Purpose, at now: NIODeadline) {
        forecasts[purpose.rawValue].turned(at: now, others: !lines[purpose.rawValue].isEmpty)
    }

    /// Reserves at once; false, with nothing changed, if too little is left or others wait for the same purpose.
    mutating func reserve(_ wanted: InFlightBudget.Reservation) -> Bool {
        lines[wanted.purpose.rawValue].isEmpty && budget.reserve(wanted)
    }

    /// Puts a request at the end of its line.
    mutating func enqueue(_ waiter: Waiter) {
        lines[waiter.wanted.purpose.rawValue].append(waiter)
    }

    /// Reserves for the next waiter whose turn has come and takes it out of its line; `nil` if no turn has. To be
    /// called again and again after each ``release(_:)``, ``shrink(_:by:)`` and ``withdraw(_:)``.
    mutating func admitNext() -> Waiter? {
        for line in lines.indices {
            if let first = lines[line].first, budget.reserve(first.wanted) {
                lines[line].removeFirst()
                return first
            }
        }
        return nil
    }

    /// Takes out a request that waits no longer. Costs a search of the lines.
    mutating func withdraw(_ connection: ConnectionID) {
        for line in lines.indices { lines[line].removeAll { $0.connection == connection } }
    }

    mutating func connectionsHold(_ bytes: Int) { budget.connectionsHold(bytes) }

    mutating func reserveUnconditionally() { budget.reserveUnconditionally() }

    mutating func shrink(_ purpose: InFlightBudget.Purpose, by surplus: Int) { budget.shrink(purpose, by: surplus) }

    mutating func release(_ reservation: InFlightBudget.Reservation) { budget.release(reservation) }
}
