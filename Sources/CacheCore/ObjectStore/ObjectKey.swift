/// The name of an object in L3: components of letters, digits and `. _ - + = @ ~`, joined by `/`.
///
/// A component is never empty, never `.` or `..`, and never begins with a dot, so a name can neither leave the root of
/// a directory store nor meet its private files. At most 512 bytes.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    public let rawValue: String
    public static let maximumBytes = 512

    /// `nil` if `rawValue` is not a name as described above.
    public init?(_ rawValue: String) {
        guard rawValue.utf8.count <= Self.maximumBytes else { return nil }
        for component in rawValue.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            guard component.first != nil, component.first != UInt8(ascii: "."), component.allSatisfy(Self.isAllowed)
            else { return nil }
        }
        self.rawValue = rawValue
    }

    private static func isAllowed(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "._-+=@~".utf8.contains(byte)
        }
    }

    public var description: String { rawValue }

    public static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        left.rawValue.utf8.lexicographicallyPrecedes(right.rawValue.utf8)
    }
}
