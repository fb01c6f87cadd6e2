/// In-flight budget: how many bytes and requests one event loop may have under way at a time, and how much of that is
/// reserved.
///
/// A request keeps its bytes until the kernel has taken its response. Pure arithmetic: a request for which too little
/// is left waits in an ``AdmissionQueue``. Request bodies may take half of the bytes, and responses to clients that
/// have not shown how they read a quarter, so that clients that send or read slowly never keep others from reading.
struct InFlightBudget {
    /// What a request reserves bytes for.
    enum Purpose: Int, CaseIterable {
        /// The body of the response.
        case response = 0
        /// The body of the request, from its head on.
        case requestBody = 1
        /// The body of the response to a client that has taken none yet, or its last one slowly.
        case firstResponse = 2
    }

    /// What one request has of the budget.
    struct Reservation: Hashable {
        var bytes: Int
        let purpose: Purpose
    }

    let maximumBytes: Int
    let maximumRequests: Int
    /// The most bytes, and how many are reserved, by purpose.
    private let maximum: [Int]
    private var reserved = Purpose.allCases.map { _ in 0 }
    private(set) var bytes = 0
    private(set) var requests = 0

    /// - Parameter largest: the most bytes that one request reserves. One such always fits, even where its part of
    ///   `bytes` is less.
    init(bytes: Int, requests: Int, largest: Int) {
        maximumBytes = max(bytes, largest)
        maximumRequests = requests
        maximum = [maximumBytes, max(maximumBytes / 2, largest), max(maximumBytes / 4, largest)]
    }

    /// Reserves for one request; false, with nothing changed, if too little is left.
    mutating func reserve(_ wanted: Reservation) -> Bool {
        guard requests < maximumRequests, bytes + wanted.bytes <= maximumBytes else { return false }
        let purpose = wanted.purpose.rawValue
        guard reserved[purpose] + wanted.bytes <= maximum[purpose] else { return false }
        reserved[purpose] += wanted.bytes
        requests += 1
        bytes += wanted.bytes
        return true
    }

    /// Counts a request that takes no bytes and never waits: health and metrics matter most when the budget is spent.
    mutating func reserveUnconditionally() {
        requests += 1
    }

    /// Returns `surplus` bytes of a reservation whose request goes on with the rest.
    mutating func shrink(_ purpose: Purpose, by surplus: Int) {
        bytes -= surplus
        reserved[purpose.rawValue] -= surplus
        assert(bytes >= 0 && reserved[purpose.rawValue] >= 0)
    }

    /// Returns all that a request has reserved: the request is over.
    mutating func release(_ reservation: Reservation) {
        requests -= 1
        shrink(reservation.purpose, by: reservation.bytes)
        assert(requests >= 0)
    }
}
