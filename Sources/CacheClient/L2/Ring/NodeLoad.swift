/// What one client asks a daemon for: what is under way, and what came within about a second. A pure value.
struct NodeLoad: Sendable {
    private static let window = Duration.seconds(1)
    /// What a request counts beside the bytes of its answer, in bytes.
    private static let request = 64 << 10
    /// What one under way is thought to become.
    private static let underWay = 256 << 10
    /// No daemon may be asked for more than this many times the average ...
    private static let factor = 1.25
    /// ... and this beside: chance alone does not make one of equals hot.
    private static let slack = 8 << 20

    private var open = 0
    /// Bytes of the window that has begun, and of the one before it.
    private var recent = (current: 0, previous: 0)
    private var began = Duration.zero

    mutating func requested() { open += 1 }

    mutating func ended(bytes: Int, now: Duration) {
        open -= 1
        turn(now)
        recent.current += bytes + Self.request
    }

    /// In bytes.
    mutating func amount(now: Duration) -> Int {
        turn(now)
        let left = 1 - min((now - began) / Self.window, 1)
        return open * Self.underWay + recent.current + Int(Double(recent.previous) * left)
    }

    private mutating func turn(_ now: Duration) {
        let passed = now - began
        guard passed >= Self.window else { return }
        recent = (0, passed < Self.window * 2 ? recent.current : 0)
        began = now
    }

    /// The most that one of several daemons may have.
    static func bound(_ amounts: [Int]) -> Int {
        guard amounts.count > 1 else { return .max }
        return Int(Double(amounts.reduce(0, +)) / Double(amounts.count) * factor) + slack
    }
}
