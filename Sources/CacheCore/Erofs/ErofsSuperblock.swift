internal import CacheCrypto

/// The superblock: 128 bytes at byte 1024 of the image, in a block of its own.
package struct ErofsSuperblock {
    let rootSlot: UInt16
    let inodes: UInt64
    let blocks: UInt32
    let hasChunkedFiles: Bool
    /// A digest of the metadata behind this block, of which the identifier of the filesystem is made.
    let digest: SHA256Digest

    /// The whole block, with its checksum.
    var block: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(number: ErofsFormat.magic)
        bytes.append(number: UInt32(0))
        bytes.append(number: ErofsFormat.compatibleFeatures)
        bytes.append(UInt8(ErofsFormat.blockBits))
        bytes.append(0)
        bytes.append(number: rootSlot)
        bytes.append(number: inodes)
        // The time at which it was made, of seconds and nanoseconds: none, so that the same tree gives the same bytes.
        bytes.append(number: UInt64(0))
        bytes.append(number: UInt32(0))
        bytes.append(number: blocks)
        // Inodes are numbered from byte 0 on, and no attribute is shared.
        bytes.append(number: UInt32(0))
        bytes.append(number: UInt32(0))
        bytes += identifier
        bytes.pad(to: bytes.count + 16)
        bytes.append(number: hasChunkedFiles ? ErofsFormat.chunkedFiles : 0)
        bytes.pad(to: ErofsFormat.blockBytes - ErofsFormat.superblockOffset)
        let checksum = Self.checksum(bytes)
        for byte in 0..<4 { bytes[4 + byte] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * byte)) }
        return [UInt8](repeating: 0, count: ErofsFormat.superblockOffset) + bytes
    }

    /// A UUID of version 8 (RFC 9562).
    private var identifier: [UInt8] {
        var bytes = digest.withUnsafeBytes { Array($0.prefix(16)) }
        bytes[6] = bytes[6] & 0x0F | 0x80
        bytes[8] = bytes[8] & 0x3F | 0x80
        return bytes
    }

    /// CRC-32C of the rest of the block from the superblock on, begun with all ones and not inverted at the end.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        bytes.reduce(UInt32.max) { checksum, byte in
            (0..<8).reduce(checksum ^ UInt32(byte)) { rest, _ in rest >> 1 ^ (rest & 1) * 0x82F6_3B78 }
        }
    }
}
