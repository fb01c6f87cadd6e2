internal import CacheBase

/// The name of a tenant: 1 to 63 lower-case letters, digits and `. _ -`, of which a letter or digit comes first.
public struct TenantName: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let rawValue: String

    /// `nil` if `rawValue` is not a name as described above.
    public init?(_ rawValue: String) {
        let bytes = rawValue.utf8
        guard let first = bytes.first, Self.isLetterOrDigit(first), bytes.count <= 63,
            bytes.allSatisfy({ Self.isLetterOrDigit($0) || "._-".utf8.contains($0) })
        else { return nil }
        self.rawValue = rawValue
    }

    /// As `init(_:)`, with an error that says what a name is.
    public init(parsing text: String) throws {
        guard let name = TenantName(text) else {
            throw CacheError(
                .invalidInput,
                "\(text.debugDescription.prefix(80)) is not a tenant's name: 1 to 63 of a-z 0-9 . _ -, a letter or"
                    + " digit first"
            )
        }
        self = name
    }

    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }

    public var description: String { rawValue }
    public static func < (left: TenantName, right: TenantName) -> Bool { left.rawValue < right.rawValue }
}
