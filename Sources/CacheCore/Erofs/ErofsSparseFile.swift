internal import CacheLayers

/// A sparse file of an image: chunks of one size, of which those that have stored bytes lie one after the other on a
/// stretch of the device of the file's own, and all others are holes.
///
/// What is stored need not begin at a block, so the stretch is mapped byte by byte to the layer's data region; what
/// lies between reads as zeros.
struct ErofsSparseFile: Sendable {
    let inode: UInt32
    /// Chunks have two to the power of this many bytes.
    let chunkBits: UInt8
    /// Bytes of its stretch of the device: a multiple of the block.
    let deviceBytes: UInt64
    /// Where its stretch begins.
    var firstBlock: UInt32 = 0

    /// A byte of index costs as much as this many bytes of device, which cost no more than addresses.
    private static let deviceBytesPerIndexByte: UInt64 = 1 << 14

    /// Chooses the smallest chunks whose index is worth the addresses that larger ones would take.
    init(_ number: Int, of tree: ImageTree) {
        let inode = tree[inode: number]
        func room(_ bits: Int) -> UInt64 { Self.deviceBytes(of: inode, in: tree, chunkBits: bits) }
        var (low, high) = (ErofsFormat.blockBits, ErofsFormat.largestChunkBits)
        while low < high {
            let middle = (low + high) / 2
            let index = Self.chunkCount(inode.size, middle) * 4
            let (cost, isHuge) = index.multipliedReportingOverflow(by: Self.deviceBytesPerIndexByte)
            if !isHuge, room(middle) >= cost { high = middle } else { low = middle + 1 }
        }
        self.inode = UInt32(number)
        chunkBits = UInt8(low)
        deviceBytes = room(low)
    }

    /// Bytes of the index of chunks.
    func indexBytes(_ size: UInt64) -> UInt64 { Self.chunkCount(size, Int(chunkBits)) * 4 }

    static func chunkCount(_ size: UInt64, _ bits: Int) -> UInt64 {
        size == 0 ? 0 : (size - 1) >> UInt64(bits) + 1
    }

    /// How many bytes those chunks have in which something is stored; the last chunk of a file ends with it.
    private static func deviceBytes(of inode: ImageTree.Inode, in tree: ImageTree, chunkBits: Int) -> UInt64 {
        var chunks: UInt64 = 0
        var last: UInt64?
        forEachSegment(of: inode, in: tree) { offset, count, _ in
            let (from, to) = (offset >> UInt64(chunkBits), (offset + count - 1) >> UInt64(chunkBits))
            chunks += to - from + (from == last ? 0 : 1)
            last = to
        }
        guard let last else { return 0 }
        let end = min(
            (last + 1) << UInt64(chunkBits), ErofsFormat.roundUp(inode.size, to: UInt64(ErofsFormat.blockBytes)))
        return (chunks - 1) << UInt64(chunkBits) + (end - last << UInt64(chunkBits))
    }

    /// The stored stretches: where in the file, how long, and how many stored bytes come before.
    static func forEachSegment(
        of inode: ImageTree.Inode, in tree: ImageTree,
        _ body: (_ offset: UInt64, _ count: UInt64, _ stored: UInt64) -> Void
    ) {
        guard inode.storedBytes > 0 else { return }
        tree.forEachStretch(of: inode, in: 0..<inode.storedBytes) { body($1, $2, $0) }
    }

    /// The stretches of the device that hold the stored bytes: where on the device, how long, and how many stored bytes
    /// come before.
    func forEachExtent(
        in tree: ImageTree, _ body: (_ offset: UInt64, _ count: UInt64, _ stored: UInt64) -> Void
    ) {
        let (bits, start) = (UInt64(chunkBits), UInt64(firstBlock) << UInt64(ErofsFormat.blockBits))
        // The last chunk that has a place, and that place.
        var last: UInt64?
        var place: UInt64 = 0
        Self.forEachSegment(of: tree[inode: Int(inode)], in: tree) { offset, count, stored in
            let (from, to) = (offset >> bits, (offset + count - 1) >> bits)
            if let last, from != last { place += 1 }
            body(start + place << bits + offset & (1 << bits - 1), count, stored)
            place += to - from
            last = to
        }
    }
}
