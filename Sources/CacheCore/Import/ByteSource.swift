/// Bytes that are read once, from front to back, by one thread: a file, a decompressor, a layer that is being pulled.
///
/// `read` blocks; call it from a thread of your own, never from an event loop or the cooperative pool.
public protocol ByteSource: AnyObject {
    /// Fills `buffer` from its start with at least one byte, unless the source has ended.
    /// - Returns: how many bytes were written; 0 only at the end (`buffer` is never empty).
    /// - Throws: ``CacheError``; the source cannot be used after that.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}
