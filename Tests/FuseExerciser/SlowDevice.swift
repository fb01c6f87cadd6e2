import CacheClient
import CacheCore
import CacheFiles
import NIOCore

/// A file as a device that has every other piece of 64 KiB at hand, and the others after some milliseconds.
struct SlowDevice: BlockDevice {
    let file: OpenFile
    let byteCount: UInt64

    init(_ path: String) throws {
        file = try OpenFile.open(path)
        byteCount = UInt64(try file.status().size)
    }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        offset >> 16 & 1 == 0 ? try bytes(at: offset, count) : nil
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] {
        try await Task.sleep(for: .milliseconds(3))
        return try bytes(at: offset, count)
    }

    func extent(at offset: UInt64) -> DeviceExtent { DeviceExtent(count: byteCount - offset, isZero: false) }

    private func bytes(at offset: UInt64, _ count: Int) throws -> [ByteBuffer] {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            try file.descriptor.readAll(into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]), at: Int(offset))
        }
        // In pieces, as a device of chunks has them.
        let middle = count / 3
        return [buffer.readSlice(length: middle), buffer.readSlice(length: count - middle)].compactMap { $0 }
    }
}
