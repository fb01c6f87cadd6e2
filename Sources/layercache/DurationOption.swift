/// A time as people write it: `500ms`, `2s`, `5m`, `1h`. A number alone says nothing of its unit and is refused.
struct DurationOption: Sendable {
    let duration: Duration
    /// Longer than anyone waits for a tier.
    private static let longest = Duration.seconds(24 * 3600)

    /// `nil` for what is no time, for none at all unless that is meant to be possible, and for more than a day.
    init?(_ text: String, orNone: Bool = false) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits), number <= Int64(Int32.max) else { return nil }
        switch text.dropFirst(digits.count).lowercased() {
        case "ms": duration = .milliseconds(number)
        case "s": duration = .seconds(number)
        case "m", "min": duration = .seconds(60 * number)
        case "h": duration = .seconds(3600 * number)
        default: return nil
        }
        guard duration > .zero || orNone, duration <= Self.longest else { return nil }
    }
}
