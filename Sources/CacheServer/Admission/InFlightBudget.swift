/// How much one event loop may have in flight, and how much of that is taken. Pure arithmetic, no waiting.
///
/// Bodies that arrive may take half of it, so that clients that are slow to send never keep others from reading.
struct Room {
    /// What a request holds bytes for.
    enum Purpose: Int, CaseIterable {
        /// The body of the response.
        case response = 0
        /// The body of the request, from its head on.
        case body = 1
    }

    let maximumBytes: Int
    let maximumRequests: Int
    private let maximumBodyBytes: Int
    private(set) var bytes = 0
    private(set) var requests = 0
    private var bodyBytes = 0

    /// - Parameter largest: the most bytes that one request takes; there is room for one such body, however small the half is.
    init(bytes: Int, requests: Int, largest: Int) {
        maximumBytes = max(bytes, largest)
        maximumRequests = requests
        maximumBodyBytes = max(maximumBytes / 2, largest)
    }

    /// Takes room for one request; false, and nothing is taken, if there is not enough.
    mutating func take(bytes wanted: Int, for purpose: Purpose) -> Bool {
        guard requests < maximumRequests, bytes + wanted <= maximumBytes else { return false }
        if purpose == .body {
            guard bodyBytes + wanted <= maximumBodyBytes else { return false }
            bodyBytes += wanted
        }
        requests += 1
        bytes += wanted
        return true
    }

    /// Counts a request that takes no bytes and must not wait: health and metrics matter most when the rest is full.
    mutating func enter() {
        requests += 1
    }

    /// Gives back a part of what a request took, while the request goes on.
    mutating func shrink(bytes surplus: Int, of purpose: Purpose) {
        bytes -= surplus
        if purpose == .body { bodyBytes -= surplus }
        assert(bytes >= 0 && bodyBytes >= 0)
    }

    mutating func give(bytes returned: Int, of purpose: Purpose) {
        requests -= 1
        shrink(bytes: returned, of: purpose)
        assert(requests >= 0)
    }
}
