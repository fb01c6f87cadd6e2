internal import CZstd

/// Uncompressed bytes of a zstd stream (RFC 8878): any number of frames, windows up to 128 MiB.
package final class ZstdByteSource: ByteSource {
    /// Base-2 logarithm of the largest window, which is what a hostile frame makes us allocate; `zstd --ultra` without `--long` stays within it.
    private static let windowLogMax: Int32 = 27

    private let name: String
    private var input: InputBuffer
    private let stream: OpaquePointer
    private var frameOpen = false

    package init(_ source: any ByteSource, name: String) throws {
        guard let stream = ZSTD_createDStream() else { throw CacheError(.io, "no memory to decompress \(name)") }
        self.name = name
        self.stream = stream
        input = InputBuffer(source)
        ZSTD_DCtx_setParameter(stream, ZSTD_d_windowLogMax, Self.windowLogMax)
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
                    throw CacheError(
                        .limitExceeded,
                        "\(name) needs a window of more than 128 MiB: compress it again without --long=28 or more")
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
