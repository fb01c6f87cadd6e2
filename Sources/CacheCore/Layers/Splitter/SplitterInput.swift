internal import CacheBase
internal import CacheCrypto
internal import CacheFiles

/// The source of a layer as the splitter reads it: hashed and counted as it comes, peeked into, and copied straight
/// into chunks.
final class SplitterInput {
    private let source: any ByteSource
    private let limit: UInt64
    private let buffer: UnsafeMutableRawBufferPointer
    private var start = 0
    private var end = 0
    private var hash: SHA256Stream? = SHA256Stream()
    private var hasEnded = false
    /// Bytes taken from the source, those in the buffer included.
    private var pulled: UInt64 = 0

    /// The most that can be peeked at.
    static let bufferBytes = 256 * 1024

    init(_ source: any ByteSource, limits: LayerLimits) {
        self.source = source
        limit = limits.layerBytes
        buffer = .allocate(byteCount: Self.bufferBytes, alignment: 64)
    }

    deinit { buffer.deallocate() }

    /// The position of the next byte in the layer.
    var offset: UInt64 { pulled - UInt64(end - start) }

    /// The next `count` bytes without taking them; fewer only at the end. They stay valid until the next call of any
    /// method but `skip`.
    func peek(_ count: Int) throws -> UnsafeRawBufferPointer {
        if end - start < count, !hasEnded {
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
            end -= start
            start = 0
            while end < count, !hasEnded {
                end += try pull(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
            }
        }
        return UnsafeRawBufferPointer(rebasing: buffer[start..<min(start + count, end)])
    }

    /// Takes `count` bytes that were peeked at.
    func skip(_ count: Int) {
        precondition(count <= end - start, "only what was peeked at can be skipped")
        start += count
    }

    /// Fills all of `destination`, or as much of it as there is before the end; returns how much.
    func read(into destination: UnsafeMutableRawBufferPointer) throws -> Int {
        var filled = min(destination.count, end - start)
        destination.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<start + filled]))
        start += filled
        while filled < destination.count, !hasEnded {
            let missing = destination.count - filled
            if missing >= Self.bufferBytes / 4 {
                filled += try pull(into: UnsafeMutableRawBufferPointer(rebasing: destination[filled...]))
            } else {
                let bytes = try peek(missing)
                UnsafeMutableRawBufferPointer(rebasing: destination[filled...]).copyMemory(from: bytes)
                skip(bytes.count)
                filled += bytes.count
            }
        }
        return filled
    }

    private func pull(into destination: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: destination)
        if count == 0 {
            hasEnded = true
            return 0
        }
        pulled += UInt64(count)
        guard pulled <= limit else {
            throw Limit.layerBytes.exceeded("the layer is longer than \(Limit.layerBytes.text(Int(clamping: limit)))")
        }
        hash?.update(UnsafeRawBufferPointer(rebasing: destination[..<count]))
        return count
    }

    /// SHA-256 of all bytes; the source must have been read to its end, and this can be asked once.
    func finishDigest() -> SHA256Digest {
        guard let hash = hash.take() else { preconditionFailure("the digest was taken already") }
        return hash.finish()
    }
}
