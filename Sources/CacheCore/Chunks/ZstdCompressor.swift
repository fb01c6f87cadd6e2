internal import CZstd

/// Makes one zstd frame of one chunk. One instance serves one thread; it keeps zstd's tables (about 1 MiB at level 1)
/// between chunks.
final class ZstdCompressor {
    private let context: OpaquePointer

    /// - Parameter level: 1 (fastest) to 19.
    init(level: Int) {
        guard let context = ZSTD_createCCtx() else { preconditionFailure("no memory is left for a zstd context") }
        let status = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level))
        precondition(ZSTD_isError(status) == 0, "zstd refused level \(level)")
        self.context = context
    }

    /// The room that `compress` needs in its output for `count` bytes.
    static func bound(_ count: Int) -> Int { ZSTD_compressBound(count) }

    /// Writes one frame to the start of `output`, which has `bound(input.count)` bytes, and returns its length.
    func compress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int {
        let count = ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
        precondition(
            ZSTD_isError(count) == 0, "zstd failed with room to spare: \(String(cString: ZSTD_getErrorName(count)))")
        return count
    }

    deinit { ZSTD_freeCCtx(context) }
}
