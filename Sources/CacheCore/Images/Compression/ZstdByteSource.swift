internal import CZstd
internal import CacheBase
package import CacheFiles

/// Uncompressed bytes of a zstd stream (RFC 8878): any number of frames, windows up to 128 MiB.
package final class ZstdByteSource: ByteSource {
    private let name: String
    private var input: InputBuffer
    private let stream: OpaquePointer
    private var frameOpen = false

    /// - Parameter window: the largest window that a frame may ask for, which is what a hostile one makes us allocate.
    package init(_ source: any ByteSource, name: String, window: Int) throws {
        guard let stream = ZSTD_createDStream() else { throw CacheError(.io, "no memory to decompress \(name)") }
        self.name = name
        self.stream = stream
        input = InputBuffer(source)
        let logarithm = Int32(max(window, 1).bitWidth - 1 - max(window, 1).leadingZeroBitCount)
        // As far as the library goes: 2 KiB to 2 GiB.
        ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, min(max(logarithm, 11), 31))
    }

    deinit { ZSTD_freeDStream(stream) }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            if input.available.isEmpty, try !input.refill(), !frameOpen { return 0 }
            let available = input.available
            var inBuffer = ZSTD_inBuffer(src: available.baseAddress, size: available.count, pos: 0)
            var outBuffer = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
            let status = ZSTD_decompressStream(stream, &outBuffer, &inBuffer)
            guard ZSTD_isError(status) == 0 else {
                if ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge {
                    throw Limit.zstdWindow.exceeded("\(name) was compressed with too large a window (zstd --long)")
                }
                throw CacheError(
                    .corrupt, "\(name) is damaged: zstd says: \(String(cString: ZSTD_getErrorName(status)))")
            }
            input.consume(inBuffer.pos)
            frameOpen = status != 0
            if outBuffer.pos > 0 { return outBuffer.pos }
            if frameOpen, inBuffer.pos == 0, input.sourceEnded {
                throw CacheError(.corrupt, "\(name) is truncated: its zstd data ends too early")
            }
        }
    }
}
