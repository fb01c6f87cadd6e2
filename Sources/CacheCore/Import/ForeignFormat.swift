/// What people take for a tar and is none, told by its first bytes.
enum ForeignFormat {
    private static let compressors: [(magic: [UInt8], name: String)] = [
        ([0xFD, 0x37, 0x7A, 0x58], "xz"),
        (Array("BZh".utf8), "bzip2"),
        ([0x04, 0x22, 0x4D, 0x18], "lz4"),
        ([0x1F, 0x9D], "compress"),
    ]

    /// What it is and what to do about it; `nil` if that is not plain to see.
    static func explain(_ start: UnsafeRawBufferPointer) -> String? {
        if let found = compressors.first(where: { start.starts(with: $0.magic) }) {
            return "it is compressed with \(found.name): decompress it first (gzip and zstd are understood)"
        }
        if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) || start.starts(with: [0x50, 0x4B, 0x05, 0x06]) {
            return "it is a ZIP: use zip:FILE"
        }
        return nil
    }
}
