/// A place in the data region of a layer: a slot of 512 KiB, and a byte in it.
public struct RegionAddress: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// `slot << 19 | offset`: the distance from the region's start in bytes, holes included.
    public let rawValue: UInt64

    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    public init(slot: UInt64, offset: Int = 0) {
        self.init(rawValue: slot << Self.slotBits | UInt64(offset))
    }

    /// The chunk of the data region that holds this byte.
    public var slot: UInt64 { rawValue >> Self.slotBits }
    /// The byte's place in the plaintext of that chunk.
    public var offset: Int { Int(rawValue & (Self.slotBytes - 1)) }

    public var description: String { "\(slot)+\(offset)" }
    public static func < (left: RegionAddress, right: RegionAddress) -> Bool { left.rawValue < right.rawValue }

    static let slotBits: UInt64 = 19
    /// As many bytes as a chunk may have.
    static let slotBytes: UInt64 = 1 << slotBits
    /// The unit at which contents begin.
    static let blockBytes: UInt64 = 4096
    /// Addresses end here, so that no sum of an address and a length can overflow.
    static let end: UInt64 = 1 << 60
}
