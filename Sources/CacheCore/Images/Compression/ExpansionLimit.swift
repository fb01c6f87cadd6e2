/// How much may come out of a decompressor, or of a file that is read as it is.
package struct ExpansionLimit: Sendable {
    /// Bytes of all that comes out.
    let bytes: Int
    /// Bytes that come out for each byte that goes in, blocks of zeros left out, once there are more than `floor` of
    /// them.
    let factor: Int
    let floor: Int
    /// The largest window that a zstd stream may ask for.
    let zstdWindow: Int

    package init(bytes: Int, factor: Int, floor: Int, zstdWindow: Int) {
        self.bytes = bytes
        self.factor = factor
        self.floor = floor
        self.zstdWindow = zstdWindow
    }

    /// How many bytes, blocks of zeros left out, may come out of `compressedSize` bytes.
    func uncompressedBytes(from compressedSize: Int) -> Int {
        let (product, overflow) = compressedSize.multipliedReportingOverflow(by: factor)
        return min(bytes, overflow ? bytes : max(floor, product))
    }
}
