import CacheClient
import NIOConcurrencyHelpers
import NIOCore

/// A device around another one, whose reads a test can watch, hold or fail, and which knows of holes.
struct HookedDevice: BlockDevice {
    let device: any BlockDevice
    /// Ranges of zeros, ascending.
    var holes: [Range<UInt64>] = []
    /// Whether what the disk has counts as being in memory.
    var isInMemory = false
    /// Before each read that is not answered from memory.
    var beforeRead: @Sendable (_ offset: UInt64, _ count: Int) async throws -> Void = { _, _ in }

    var byteCount: UInt64 { device.byteCount }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        isInMemory ? try device.cached(at: offset, count: count, reach: .disk) : nil
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        try await beforeRead(offset, count)
        return try await device.read(at: offset, count: count)
    }

    func extent(at offset: UInt64) -> DeviceExtent {
        guard let hole = holes.first(where: { $0.upperBound > offset }) else {
            return DeviceExtent(count: byteCount - offset, isZero: false)
        }
        guard hole.contains(offset) else { return DeviceExtent(count: hole.lowerBound - offset, isZero: false) }
        return DeviceExtent(count: hole.upperBound - offset, isZero: true)
    }
}
