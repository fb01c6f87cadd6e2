/// Bytes that may hold anything, read at any offset: what lies outside reads as zero, so that no input can trap.
struct PageBytes {
    let bytes: UnsafeRawBufferPointer

    func load<T: FixedWidthInteger & BitwiseCopyable>(_ offset: Int, as type: T.Type) -> T {
        guard offset >= 0, offset <= bytes.count - MemoryLayout<T>.size else { return 0 }
        return bytes.loadUnaligned(fromByteOffset: offset, as: type)
    }

    func u16(_ offset: Int) -> Int { Int(load(offset, as: UInt16.self)) }
    func u32(_ offset: Int) -> Int { Int(load(offset, as: UInt32.self)) }
    func u64(_ offset: Int) -> UInt64 { load(offset, as: UInt64.self) }

    /// `count` bytes from `offset`; empty if they are not all inside.
    func slice(_ offset: Int, _ count: Int) -> UnsafeRawBufferPointer {
        guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
    }
}
