/// How much one event loop may have in flight, and how much of that is taken. Pure arithmetic, no waiting.
struct Room {
    let maximumBytes: Int
    let maximumRequests: Int
    private(set) var bytes = 0
    private(set) var requests = 0

    init(bytes: Int, requests: Int) {
        maximumBytes = bytes
        maximumRequests = requests
    }

    /// Takes room for one request; false, and nothing is taken, if there is not enough.
    mutating func take(bytes wanted: Int) -> Bool {
        guard requests < maximumRequests, bytes + wanted <= maximumBytes else { return false }
        requests += 1
        bytes += wanted
        return true
    }

    /// Counts a request that takes no bytes and must not wait: health and metrics matter most when the rest is full.
    mutating func enter() {
        requests += 1
    }

    /// Gives back a part of what a request took, while the request goes on.
    mutating func shrink(bytes surplus: Int) {
        bytes -= surplus
        assert(bytes >= 0)
    }

    mutating func give(bytes returned: Int) {
        requests -= 1
        bytes -= returned
        assert(requests >= 0 && bytes >= 0)
    }
}
