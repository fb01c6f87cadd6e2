internal import CacheCrypto

extension ErofsSuperblock {
    /// Bytes of the block that has it, the first one of a device.
    package static let blockBytes = ErofsFormat.blockBytes

    /// Why a device is not one that ``ErofsWriter`` has made, as far as its first block tells; `nil` if it may be.
    ///
    /// A kernel that gets such a device meets no feature of EROFS but those that this writer uses: no compression,
    /// no shared or packed contents, no other devices, no numbers that lie outside.
    /// - Parameters:
    ///   - block: the first block.
    ///   - deviceBytes: of the whole device.
    package static func fault(in block: [UInt8], deviceBytes: UInt64) -> String? {
        guard block.count == blockBytes, let digest = digest(identifier: block[1072..<1088]) else {
            return "it has no first block"
        }
        func number<Number: FixedWidthInteger>(at offset: Int, _: Number.Type = Number.self) -> Number {
            Number(littleEndian: block.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) })
        }
        guard number(at: 1024) == ErofsFormat.magic else { return "it does not begin with an EROFS superblock" }
        let features: UInt32 = number(at: 1104)
        guard features & ~ErofsFormat.chunkedFiles == 0 else {
            return "its superblock asks for features of EROFS that no image of this version has"
        }
        let (rootSlot, inodes, blocks): (UInt16, UInt64, UInt32) =
            (number(at: 1038), number(at: 1040), number(at: 1060))
        guard UInt64(blocks) << UInt64(ErofsFormat.blockBits) == deviceBytes else {
            return "its superblock says that it has \(blocks) blocks of 4096 bytes, and it has \(deviceBytes) bytes"
        }
        let expected = ErofsSuperblock(
            rootSlot: rootSlot, inodes: inodes, blocks: blocks, hasChunkedFiles: features != 0, digest: digest)
        return block == expected.block ? nil : "its superblock is not one that this version makes"
    }

    private static func digest(identifier: ArraySlice<UInt8>) -> SHA256Digest? {
        (identifier + [UInt8](repeating: 0, count: 16)).withUnsafeBytes { SHA256Digest(bytes: $0) }
    }
}
