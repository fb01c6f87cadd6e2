/// Addresses of runs as they are written in the skeleton and in the entry table: not at all where a run follows on the
/// one before, else the distance in slots from there, and the block in the slot.
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
