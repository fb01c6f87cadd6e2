/// What people take for a tar and is none, told by its first bytes.
enum ForeignFormat {
    private static let compressors: [(magic: [UInt8], name: String)] = [
        ([0xFD, 0x37, 0x7A, 0x58], "xz"),
        (Array("BZh".utf8), "bzip2"),
        ([0x04, 0x22, 0x4D, 0x18], "lz4"),
        ([0x1F, 0x9D], "compress"),
    ]

    private static let archives: [(magic: [UInt8], name: String)] = [
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "7-Zip archive"),
        (Array("hsqs".utf8), "squashfs image"),
        (Array("070701".utf8), "cpio archive"),
        (Array("070707".utf8), "cpio archive"),
        (Array("!<arch>".utf8), "ar archive (a Debian package?)"),
        ([0xED, 0xAB, 0xEE, 0xDB], "RPM package"),
    ]

    /// What it is and what to do about it; `nil` if that is not plain to see.
    static func explain(_ start: UnsafeRawBufferPointer) -> String? {
        if let found = compressors.first(where: { start.starts(with: $0.magic) }) {
            return "it is compressed with \(found.name): decompress it first (gzip and zstd are understood)"
        }
        if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) || start.starts(with: [0x50, 0x4B, 0x05, 0x06]) {
            return "it is a ZIP: use zip:FILE"
        }
        if let found = archives.first(where: { start.starts(with: $0.magic) }) {
            return "it is a \(found.name): unpack it, and push the directory (dir:DIR)"
        }
        return nil
    }
}
