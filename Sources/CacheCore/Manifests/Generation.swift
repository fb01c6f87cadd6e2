/// The number of a generation: the root under which chunks are written and later collected. 1 to 999,999.
public struct Generation: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let number: UInt64

    static let maximum: UInt64 = 999_999
    private static let digits = 6

    /// `nil` for a number that no generation can have.
    public init?(_ number: UInt64) {
        guard (1...Self.maximum).contains(number) else { return nil }
        self.number = number
    }

    /// Parses the six digits of ``name``; `nil` for anything else.
    public init?(name: some StringProtocol) {
        guard name.utf8.count == Self.digits, name.utf8.allSatisfy({ (48...57).contains($0) }),
            let number = UInt64(name)
        else { return nil }
        self.init(number)
    }

    /// Six digits, so that names sort as numbers do.
    public var name: String {
        let text = String(number)
        return String(repeating: "0", count: Self.digits - text.utf8.count) + text
    }

    public var description: String { name }
    public static func < (left: Generation, right: Generation) -> Bool { left.number < right.number }
}
