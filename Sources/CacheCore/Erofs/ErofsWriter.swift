package import CacheBase
internal import CacheCrypto
package import CacheLayers

/// Makes an EROFS image of a tree: its metadata as bytes, and where on the device the layers' bytes belong.
///
/// Pure: no I/O, no clock, no chance; the same tree gives the same bytes. Linux 5.15 and later read the image, as one
/// device without a table of devices. What it has of a file is what a program that unpacks the image would have given
/// to it; ``omissions`` says what Linux has no place for.
///
/// It holds the tree and 4 bytes for each of its inodes.
package struct ErofsWriter: Sendable {
    private let tree: ImageTree
    private let layout: ErofsLayout

    private enum Step {
        case superblock
        case inodes
        case index(ErofsChunkIndex)
        case blocks(entry: Int)
        case end
    }

    private var step = Step.superblock
    /// Bytes that were made and not yet given out, from `taken` on, and where in the image they end.
    private var pending: [UInt8] = []
    private var taken = 0
    private var position: UInt64 = 0
    /// The next ones in the tree and in the layout.
    private var node = 0
    private var separate = 0
    private var sparse = 0

    /// Works out the layout: some hundred nanoseconds a file.
    /// - Parameter regionSlots: how many slots of 512 KiB the data region of each layer has.
    /// - Throws: `.corrupt` for files whose bytes cannot be where they are said to be; `.limitExceeded` for a device
    ///   of more than 16 TiB or metadata of more than 4 GiB.
    package init(tree: ImageTree, regionSlots: [Int]) throws(CacheError) {
        self.tree = tree
        layout = try ErofsLayout(tree, regionSlots: regionSlots)
    }

    /// Bytes of the metadata, with which the device begins: a multiple of 4096.
    package var metadataBytes: UInt64 { layout.metadataBytes }
    /// Which bytes of the device are bytes of the layers' data regions; ascending, and none overlaps another. All other
    /// bytes behind the metadata are zero.
    package var extents: [ErofsExtent] { layout.extents }
    /// Bytes of the whole device: a multiple of 4096.
    package var deviceBytes: UInt64 { layout.deviceBytes }
    /// What of the tree the image does not have, a line for each reason.
    package var omissions: [String] { layout.notes.lines }

    /// Writes the metadata's next bytes.
    /// - Returns: how many; fewer than there is room for only at the end, 0 behind it.
    package mutating func write(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var filled = 0
        while filled < buffer.count {
            if taken == pending.count {
                pending.removeAll(keepingCapacity: true)
                taken = 0
                guard makeMore() else { break }
                position += UInt64(pending.count)
            }
            let count = min(buffer.count - filled, pending.count - taken)
            pending.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + count]))
            }
            filled += count
            taken += count
        }
        return filled
    }

    /// Makes the next piece, which may be empty; `false` at the end.
    private mutating func makeMore() -> Bool {
        switch step {
        case .superblock:
            pending += superblock
            step = .inodes
        case .inodes: makeInode()
        case .index(var index):
            step = index.append(to: &pending) ? .index(index) : .inodes
        case .blocks(let entry): makeBlock(entry)
        case .end: return false
        }
        return true
    }

    private var superblock: [UInt8] {
        // The identifier is made of all that follows, which is made twice for that: it takes no memory.
        var rest = self
        rest.step = .inodes
        rest.position = UInt64(ErofsFormat.blockBytes)
        var stream = SHA256Stream()
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
            while true {
                let count = rest.write(into: buffer)
                if count == 0 { break }
                stream.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        }
        return ErofsSuperblock(
            // The root's is the first inode.
            rootSlot: UInt16(layout.slots[tree.inode(of: 0)]), inodes: layout.inodeCount,
            blocks: UInt32(deviceBytes >> UInt64(ErofsFormat.blockBits)), hasChunkedFiles: !layout.sparseFiles.isEmpty,
            digest: stream.finish()
        ).block
    }

    // MARK: Inodes

    private mutating func makeInode() {
        guard node < tree.count else {
            pending.pad(to: Int(ErofsFormat.roundUp(position, to: UInt64(ErofsFormat.blockBytes)) - position))
            step = separate == 0 && layout.separate.isEmpty ? .end : .blocks(entry: 0)
            separate = 0
            return
        }
        defer { node += 1 }
        let number = tree.inode(of: node)
        let slot = layout.slots[number]
        guard tree.firstNode(of: number) == node, slot != 0 else { return }
        let inode = tree[inode: number]
        pending.pad(to: Int(UInt64(slot) << UInt64(ErofsFormat.slotBits) - position))
        let attributes = ErofsAttributes.encode(of: inode, in: tree) { _, _ in }
        var written = ErofsInode(slot: slot)
        written.linkCount = inode.linkCount
        let apart = separate < layout.separate.count && Int(layout.separate[separate].node) == node
        if apart {
            written.place = layout.separate[separate].block
            written.size = layout.separate[separate].bytes
            separate += 1
        }
        switch inode.kind {
        case .file, .hardLink: makeFile(inode, number, &written, attributes)
        case .directory: makeDirectory(inode, &written, attributes, apart)
        case .symbolicLink:
            written.size = UInt64(tree.targetLength(of: inode))
            if !apart { written.layout = .inline }
            written.append(inode, attributes: attributes.count, to: &pending)
            pending += attributes
            if !apart { tree.appendTarget(of: inode, to: &pending) }
        case .characterDevice, .blockDevice, .fifo:
            written.place = ErofsInode.device(inode)
            written.append(inode, attributes: attributes.count, to: &pending)
            pending += attributes
        }
    }

    private mutating func makeFile(
        _ inode: ImageTree.Inode, _ number: Int, _ written: inout ErofsInode, _ attributes: [UInt8]
    ) {
        written.size = inode.size
        if sparse < layout.sparseFiles.count, Int(layout.sparseFiles[sparse].inode) == number {
            let file = layout.sparseFiles[sparse]
            sparse += 1
            written.layout = .chunks
            written.place = UInt32(Int(file.chunkBits) - ErofsFormat.blockBits)
            step = .index(ErofsChunkIndex(file, of: tree))
        } else if let run = inode.content {
            written.place =
                layout.regionBlocks[inode.layer] + UInt32(run.address.rawValue >> UInt64(ErofsFormat.blockBits))
        }
        written.append(inode, attributes: attributes.count, to: &pending)
        pending += attributes
    }

    private mutating func makeDirectory(
        _ inode: ImageTree.Inode, _ written: inout ErofsInode, _ attributes: [UInt8], _ apart: Bool
    ) {
        // Its own name, its `.`, and the `..` of each directory in it.
        let inside = tree.children(of: node).count { tree.attributes(of: $0).kind == .directory }
        written.linkCount = 2 + UInt32(inside)
        let directory = ErofsDirectory(node, of: tree)
        var entries: [UInt8] = []
        if !apart {
            _ = directory.appendBlock(from: 0, of: tree, slots: layout.slots, to: &entries)
            written.layout = .inline
            written.size = UInt64(entries.count)
        }
        written.append(inode, attributes: attributes.count, to: &pending)
        pending += attributes
        pending += entries
    }

    // MARK: Blocks

    /// The next block of a directory that has blocks of its own, from an entry on, or of a link.
    private mutating func makeBlock(_ entry: Int) {
        let item = layout.separate[separate]
        var isLast = true
        var next = 0
        let inode = tree.attributes(of: Int(item.node))
        if inode.kind == .directory {
            let directory = ErofsDirectory(Int(item.node), of: tree)
            next = directory.appendBlock(from: entry, of: tree, slots: layout.slots, to: &pending)
            isLast = next == directory.count
        } else {
            tree.appendTarget(of: inode, to: &pending)
        }
        pending.pad(to: ErofsFormat.blockBytes)
        if isLast { separate += 1 }
        step = separate == layout.separate.count ? .end : .blocks(entry: isLast ? 0 : next)
    }
}
