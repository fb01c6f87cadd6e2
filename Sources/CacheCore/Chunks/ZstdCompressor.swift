internal import CZstd

/// Makes one zstd frame of one chunk. One instance serves one thread; it keeps zstd's tables (about 1 MiB at level 1)
/// between chunks.
final class ZstdCompressor {
    private let context: OpaquePointer

    /// - Parameter level: 1 (fastest) to 19.
    convenience init(level: Int) {
        self.init([(ZSTD_c_compressionLevel, Int32(level))])
    }

    private init(_ parameters: [(ZSTD_cParameter, Int32)]) {
        guard let context = ZSTD_createCCtx() else { preconditionFailure("no memory is left for a zstd context") }
        for (parameter, value) in parameters {
            let status = ZSTD_CCtx_setParameter(context, parameter, value)
            precondition(ZSTD_isError(status) == 0, "zstd refused \(value) for parameter \(parameter.rawValue)")
        }
        self.context = context
    }

    /// Frames that are decompressed a fifth faster than those of level 1, and are as small: what is not found before is
    /// stored as it is, without Huffman codes, and more is found. Making them takes a third more time.
    /// (docs/decisions/0036-chunks-made-to-be-opened.md.)
    static func fastOpen() -> ZstdCompressor {
        ZstdCompressor([
            (ZSTD_c_compressionLevel, 3),
            // Its tables stay in the core's own cache.
            (ZSTD_c_hashLog, 15),
            (ZSTD_c_chainLog, 15),
            // ZSTD_c_literalCompressionMode and ZSTD_ps_disable, which zstd.h has for static linking alone.
            (ZSTD_c_experimentalParam5, 2),
        ])
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
