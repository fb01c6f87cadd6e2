public import CacheCore
public import NIOCore

extension CachedLayer {
    /// Appends `count` bytes of a file from `offset` on to `buffer`, cut at the file's end. What a sparse file does not store reads as zeros.
    ///
    /// - Throws: `.invalidInput` for a negative offset or count, `.limitExceeded` beyond ``maximumReadBytes``, else as the tiers do.
    public func read(_ entry: LayerEntry, at offset: Int, count: Int, into buffer: inout ByteBuffer) async throws {
        guard offset >= 0, count >= 0 else {
            throw CacheError(.invalidInput, "a read of \(count) bytes at \(offset) makes no sense")
        }
        let size = Int(clamping: entry.size)
        let end = min(size, offset.addingReportingOverflow(count).overflow ? size : offset + count)
        guard offset < end else { return }
        try Self.checkRoom(for: end - offset, in: buffer)
        guard let content = entry.content else {
            buffer.writeRepeatingByte(0, count: end - offset)
            return
        }
        let whole = LayerEntry.Segment(offset: 0, length: content.length)
        var position = offset
        var stored = 0
        for segment in entry.segments ?? [whole] {
            let start = Int(clamping: segment.offset)
            let length = Int(clamping: segment.length)
            let from = max(position, start)
            let to = min(end, start.addingReportingOverflow(length).partialValue)
            if from < to {
                buffer.writeRepeatingByte(0, count: from - position)
                try await read(
                    at: content.address.advanced(by: stored + from - start), count: to - from, into: &buffer)
                position = to
            }
            stored += length
        }
        buffer.writeRepeatingByte(0, count: end - position)
    }
}

extension RegionAddress {
    /// The address that lies `bytes` further on.
    func advanced(by bytes: Int) throws(CacheError) -> RegionAddress {
        let (sum, overflow) = rawValue.addingReportingOverflow(UInt64(clamping: bytes))
        guard !overflow else { throw CacheError(.corrupt, "an address beyond the end of all regions") }
        return RegionAddress(rawValue: sum)
    }
}

extension DataRun {
    /// What is left of the run without its first `count` bytes; `nil` if that is nothing.
    func dropping(_ count: Int) -> DataRun? {
        let count = UInt64(clamping: count)
        guard count < length else { return nil }
        return DataRun(address: RegionAddress(rawValue: address.rawValue &+ count), length: length - count)
    }
}
