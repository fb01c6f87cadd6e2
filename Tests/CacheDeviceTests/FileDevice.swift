import CacheClient
import CacheCore
import CacheFiles
import NIOCore

/// A file on the local disk as a device: what FUSE and NBD show must be what `pread` gives.
struct FileDevice: BlockDevice {
    let file: OpenFile
    let byteCount: UInt64

    /// - Parameter path: a file of a multiple of 4096 bytes.
    init(_ path: String) throws {
        file = try OpenFile.open(path)
        byteCount = UInt64(try file.status().size)
    }

    func cached(at offset: UInt64, count: Int, reach: DeviceReach) throws -> [ByteBuffer]? {
        reach == .disk ? try bytes(at: offset, count: count) : nil
    }

    func read(at offset: UInt64, count: Int) async throws -> [ByteBuffer] { try bytes(at: offset, count: count) }

    func extent(at offset: UInt64) -> DeviceExtent { DeviceExtent(count: byteCount - offset, isZero: false) }

    private func bytes(at offset: UInt64, count: Int) throws -> [ByteBuffer] {
        var buffer = ByteBufferAllocator().buffer(capacity: count)
        try buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            try file.descriptor.readAll(into: UnsafeMutableRawBufferPointer(rebasing: room[..<count]), at: Int(offset))
        }
        guard buffer.readableBytes == count else {
            throw CacheError(.invalidInput, "a read of \(count) bytes at \(offset) leaves the device")
        }
        return [buffer]
    }
}
