import CacheClient
import CacheCore
import CacheFiles
import NIOCore

/// A file in memory as a device, in chunks of 512 KiB: as fast as a device can be.
struct MemoryDevice: BlockDevice {
    private static let chunkBytes = 512 * 1024
    private let chunks: [ByteBuffer]
    let byteCount: UInt64

    init(_ path: String) throws {
        let file = try OpenFile.open(path)
        let size = try file.status().size / 4096 * 4096
        byteCount = UInt64(size)
        chunks = try stride(from: 0, to: size, by: Self.chunkBytes).map { offset in
            let count = min(Self.chunkBytes, size - offset)
            var buffer = ByteBufferAllocator().buffer(capacity: count)
            try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
                try file.descriptor.readAll(into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]), at: offset)
            }
            return buffer
        }
    }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        var buffers: [ByteBuffer] = []
        var place = Int(offset)
        let end = place + count
        while place < end {
            let start = place % Self.chunkBytes
            let length = min(end - place, Self.chunkBytes - start)
            guard let slice = chunks[place / Self.chunkBytes].getSlice(at: start, length: length) else { return nil }
            buffers.append(slice)
            place += length
        }
        return buffers
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        guard let buffers = try cached(at: offset, count: count, reach: .memory) else {
            throw CacheError(.invalidInput, "a read of \(count) bytes at \(offset) leaves the device")
        }
        return buffers
    }

    func extent(at offset: UInt64) -> DeviceExtent { DeviceExtent(count: byteCount - offset, isZero: false) }
}
