/// Bytes that are read once, from front to back, by one thread: a file, a decompressor, a layer that is being pulled.
///
/// `read` blocks; call it from a thread of your own, never from an event loop or the cooperative pool.
public protocol ByteSource: AnyObject {
    /// Fills `buffer` from its start with at least one byte, unless the source has ended.
    /// - Returns: how many bytes were written; 0 only at the end (`buffer` is never empty).
    /// - Throws: ``CacheError``; the source cannot be used after that.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int

    /// Hands all that is left to `body`, piece by piece; returns the count of bytes.
    ///
    /// What a source has in memory already it hands over without a copy; the rest goes through a buffer of 1 MiB.
    @discardableResult
    func drain(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Int
}

extension ByteSource {
    @discardableResult
    public func drain(_ body: (UnsafeRawBufferPointer) throws -> Void) throws -> Int {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        var total = 0
        while true {
            let count = try read(into: buffer)
            if count == 0 { return total }
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            total += count
        }
    }
}
