internal import CacheCore
internal import NIOCore

/// The part of one slot of a data region that a read covers.
struct DataSpan {
    let slot: Int
    let offset: Int
    let count: Int

    /// The spans of `count` bytes from `address` on, in a region of `slots` slots.
    static func cover(_ address: RegionAddress, _ count: Int, slots: Int) throws(CacheError) -> [DataSpan] {
        let (end, overflow) = Int(clamping: address.rawValue).addingReportingOverflow(count)
        guard count >= 0, !overflow, end <= slots * ChunkLimits.plainBytes else {
            throw CacheError(
                .invalidInput, "a read of \(count) bytes at \(address.rawValue) leaves the region of \(slots) slots")
        }
        var spans: [DataSpan] = []
        var position = Int(address.rawValue)
        while position < end {
            let slot = position / ChunkLimits.plainBytes
            let offset = position % ChunkLimits.plainBytes
            let length = min(end - position, ChunkLimits.plainBytes - offset)
            spans.append(DataSpan(slot: slot, offset: offset, count: length))
            position += length
        }
        return spans
    }

    /// Appends the span's bytes; beyond the end of the stored chunk is the hole that pads it, which reads as zeros.
    func copy(from chunk: ByteBuffer, into buffer: inout ByteBuffer) {
        let present = min(max(chunk.readableBytes - offset, 0), count)
        chunk.withUnsafeReadableBytes { bytes in
            _ = buffer.writeBytes(UnsafeRawBufferPointer(rebasing: bytes[min(offset, bytes.count)...].prefix(present)))
        }
        if present < count { buffer.writeRepeatingByte(0, count: count - present) }
    }

    /// The same into memory of the span's size.
    func copy(from chunk: ByteBuffer, into memory: UnsafeMutableRawBufferPointer) {
        let present = min(max(chunk.readableBytes - offset, 0), count)
        chunk.withUnsafeReadableBytes { bytes in
            memory.copyMemory(from: .init(rebasing: bytes[min(offset, bytes.count)...].prefix(present)))
        }
        UnsafeMutableRawBufferPointer(rebasing: memory[present...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
}
