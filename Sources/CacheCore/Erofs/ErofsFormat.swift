/// Numbers of the EROFS on-disk format, as the kernel documents it
/// (https://docs.kernel.org/filesystems/erofs.html): what Linux 5.15 and later read.
enum ErofsFormat {
    /// Bytes of a block, the unit of addresses: what every kernel of these versions takes.
    static let blockBytes = 4096
    static let blockBits = 12
    /// Inodes are numbered by the 32 bytes that they begin at.
    static let slotBytes = 32
    static let slotBits = 5
    /// Bytes of an inode of the long form, which alone keeps times.
    static let inodeBytes = 64
    /// Bytes of an entry of a directory, without its name.
    static let entryBytes = 12
    /// Blocks have numbers of 32 bits, of which the last one means a hole: 16 TiB.
    static let blocks = UInt64(UInt32.max)
    static let hole = UInt32.max

    static let superblockOffset = 1024
    static let magic: UInt32 = 0xE0F5_E1E2
    /// The superblock has a checksum; inodes have the times of the last change.
    static let compatibleFeatures: UInt32 = 0x1 | 0x2
    /// Some files are made of chunks, since Linux 5.15.
    static let chunkedFiles: UInt32 = 0x4

    /// Where the bytes of an inode are.
    enum DataLayout: UInt16 {
        /// In consecutive blocks.
        case plain = 0
        /// Right behind the inode, in one block.
        case inline = 2
        /// In chunks of one size, each anywhere or nowhere.
        case chunks = 4
    }

    /// The largest chunk: 8 TiB.
    static let largestChunkBits = blockBits + 31

    /// Device numbers that Linux has: 12 and 20 bits.
    static let deviceMajors = UInt32(1) << 12
    static let deviceMinors = UInt32(1) << 20

    static func roundUp(_ value: UInt64, to unit: UInt64) -> UInt64 { (value + unit - 1) & ~(unit - 1) }
}

extension [UInt8] {
    mutating func append(number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends zeros until there are `count` bytes.
    mutating func pad(to count: Int) {
        if count > self.count { append(contentsOf: repeatElement(0, count: count - self.count)) }
    }
}
