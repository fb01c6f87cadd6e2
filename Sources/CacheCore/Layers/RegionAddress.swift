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

/// Consecutive bytes of the data region: one file's stored content.
///
/// A run either lies in one slot, or begins at the start of a slot and goes on through the slots after it.
public struct DataRun: Hashable, Sendable {
    public let address: RegionAddress
    /// Bytes; at least 1.
    public let length: UInt64

    public init(address: RegionAddress, length: UInt64) {
        self.address = address
        self.length = length
    }

    /// Where the next content would begin if it followed on this one: what both writers and readers guess first.
    var following: RegionAddress {
        let mask = RegionAddress.blockBytes - 1
        return RegionAddress(rawValue: (address.rawValue + length + mask) & ~mask)
    }
}

/// Addresses of runs as they are written in the skeleton and in the entry table: not at all where a run follows on the one before,
/// else the distance in slots from there, and the block in the slot.
struct RunAddressCoder {
    private var expected = RegionAddress(rawValue: 0)

    /// Whether the address of `run` need not be written. Each run must be asked about once, in order.
    mutating func isExpected(_ run: DataRun, appendingElseTo record: inout [UInt8]) -> Bool {
        let guess = expected
        expected = run.following
        if run.address == guess { return true }
        record.appendVarint(signed: Int64(run.address.slot) - Int64(guess.slot))
        record.appendVarint(UInt64(run.address.offset) / RegionAddress.blockBytes)
        return false
    }

    /// The run of `length` bytes whose address `cursor` holds if it is `explicit`; `nil` if bytes are missing.
    mutating func read(length: UInt64, explicit: Bool, from cursor: inout VarintCursor) throws -> DataRun? {
        var address = expected
        if explicit {
            guard let distance = try cursor.signed(), let block = try cursor.unsigned() else { return nil }
            let (slot, overflow) = Int64(expected.slot).addingReportingOverflow(distance)
            guard !overflow, slot >= 0, slot < RegionAddress.end >> RegionAddress.slotBits,
                block < RegionAddress.slotBytes / RegionAddress.blockBytes
            else { throw VarintCursor.Malformed("an address outside the region") }
            address = RegionAddress(slot: UInt64(slot), offset: Int(block * RegionAddress.blockBytes))
        }
        guard length > 0, length <= RegionAddress.end - RegionAddress.blockBytes - address.rawValue,
            address.offset == 0 || UInt64(address.offset) + length <= RegionAddress.slotBytes
        else { throw VarintCursor.Malformed("a run that does not fit into the region") }
        let run = DataRun(address: address, length: length)
        expected = run.following
        return run
    }
}
