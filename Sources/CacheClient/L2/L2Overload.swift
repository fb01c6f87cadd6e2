internal import NIOHTTP1

/// What a daemon says that has too much to do: 503 or 429, and when to come again.
enum L2Overload {
    private static let unsaid = Duration.seconds(1)
    private static let longest = 30

    /// For how long it wants to be left alone; `nil` for an answer that says something else.
    static func pause(_ head: HTTPResponseHead) -> Duration? {
        guard head.status == .serviceUnavailable || head.status == .tooManyRequests else { return nil }
        guard let text = head.headers.first(name: "Retry-After"), let seconds = Int(text), seconds >= 0 else {
            return unsaid
        }
        return .seconds(min(seconds, longest))
    }
}
