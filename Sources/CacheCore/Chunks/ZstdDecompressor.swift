internal import CZstd

/// Opens zstd frames of chunks. One instance serves one thread and keeps its context between chunks.
final class ZstdDecompressor {
    private let context: OpaquePointer

    init() {
        guard let context = ZSTD_createDCtx() else { preconditionFailure("no memory is left for a zstd context") }
        self.context = context
    }

    /// Fills `output` from the frames in `input`; returns the bytes written, or `nil` if they are no zstd frames or do
    /// not fit.
    func decompress(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> Int? {
        let count = ZSTD_decompressDCtx(context, output.baseAddress, output.count, input.baseAddress, input.count)
        return ZSTD_isError(count) == 0 ? count : nil
    }

    deinit { ZSTD_freeDCtx(context) }
}
