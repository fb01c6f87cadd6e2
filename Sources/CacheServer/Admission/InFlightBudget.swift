/// In-flight budget: how many bytes and requests one event loop may have under way at a time, and how much of that is
/// reserved.
///
/// A request keeps its bytes until the kernel has taken its response. Pure arithmetic: a request for which too little
/// is left waits in an ``AdmissionQueue``. Request bodies may take half of the bytes, so that clients that send slowly
/// never keep others from reading.
struct InFlightBudget {
    /// What a request reserves bytes for.
    enum Purpose: Int, CaseIterable {
        /// The body of the response.
        case response = 0
        /// The body of the request, from its head on.
        case requestBody = 1
    }

    /// What one request has of the budget.
    struct Reservation: Hashable {
        var bytes: Int
        let purpose: Purpose
    }

    let maximumBytes: Int
    let maximumRequests: Int
    private let maximumBodyBytes: Int
    private let largest: Int
    private(set) var bytes = 0
    private(set) var requests = 0
    private var bodyBytes = 0
    /// Bytes that open connections hold themselves.
    private var connectionBytes = 0

    /// - Parameter largest: the most bytes that one request reserves. One such body always fits, even where half of
    ///   `bytes` is less.
    init(bytes: Int, requests: Int, largest: Int) {
        self.largest = largest
        maximumBytes = max(bytes, largest)
        maximumRequests = requests
        maximumBodyBytes = max(maximumBytes / 2, largest)
    }

    /// Reserves for one request; false, with nothing changed, if too little is left.
    mutating func reserve(_ wanted: Reservation) -> Bool {
        guard requests < maximumRequests, bytes + wanted.bytes <= leftByConnections else { return false }
        if wanted.purpose == .requestBody {
            guard bodyBytes + wanted.bytes <= maximumBodyBytes else { return false }
            bodyBytes += wanted.bytes
        }
        requests += 1
        bytes += wanted.bytes
        return true
    }

    /// Connections leave a quarter to requests, and never less than one body.
    private var leftByConnections: Int {
        max(maximumBytes - min(connectionBytes, maximumBytes / 4 * 3), largest)
    }

    /// Counts what connections hold, open or idle.
    /// - Parameter bytes: less than zero for those that have ended.
    mutating func connectionsHold(_ bytes: Int) {
        connectionBytes += bytes
        assert(connectionBytes >= 0)
    }

    /// Counts a request that takes no bytes and never waits: health and metrics matter most when the budget is spent.
    mutating func reserveUnconditionally() {
        requests += 1
    }

    /// Returns `surplus` bytes of a reservation whose request goes on with the rest.
    mutating func shrink(_ purpose: Purpose, by surplus: Int) {
        bytes -= surplus
        if purpose == .requestBody { bodyBytes -= surplus }
        assert(bytes >= 0 && bodyBytes >= 0)
    }

    /// Returns all that a request has reserved: the request is over.
    mutating func release(_ reservation: Reservation) {
        requests -= 1
        shrink(reservation.purpose, by: reservation.bytes)
        assert(requests >= 0)
    }
}
