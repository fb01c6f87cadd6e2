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
