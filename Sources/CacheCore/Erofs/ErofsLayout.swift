internal import CacheBase
internal import CacheLayers

/// Where everything of an image lies: worked out once, before the first byte is written.
///
/// The device is: a block with the superblock; inodes, each with its attributes and whatever of it is kept behind it,
/// in the order of the tree's nodes, so that those of one directory are neighbours; the blocks of large directories;
/// from the next multiple of 512 KiB on the layers' data regions; the stretches of sparse files.
/// About 4 bytes an inode.
struct ErofsLayout: Sendable {
    /// Bytes of a directory or a link that have blocks of their own, because they do not fit behind the inode.
    struct Separate: Sendable {
        let node: UInt32
        var block: UInt32
        let bytes: UInt64
    }

    /// The slot that each inode begins at; 0 for those that the image does not have.
    private(set) var slots: [UInt32]
    private(set) var inodeCount: UInt64 = 0
    /// By node.
    private(set) var separate: [Separate] = []
    /// By first node.
    private(set) var sparseFiles: [ErofsSparseFile] = []
    private(set) var metadataBytes: UInt64 = 0
    /// The first block of each layer's data region.
    private(set) var regionBlocks: [UInt32] = []
    private(set) var extents: [ErofsExtent] = []
    private(set) var deviceBytes: UInt64 = 0
    private(set) var notes = ErofsNotes()

    private static let block = UInt64(ErofsFormat.blockBytes)
    /// The most metadata that an image may have: 4 GiB, some thirty million files.
    private static let mostMetadata: UInt64 = 4 << 30
    /// More slots of 512 KiB than a device has.
    private static let mostSlots = Int(ErofsFormat.blocks >> 7)
    /// The most stretches of stored bytes that all sparse files together may have.
    private static let mostExtents = 1 << 20

    init(_ tree: ImageTree, regionSlots: [Int]) throws(CacheError) {
        guard regionSlots.allSatisfy({ (0...Self.mostSlots).contains($0) }) else { throw Self.deviceTooLarge }
        // Files that share bytes, or have bytes outside of their layer.
        _ = try ContentPlan(tree, slots: regionSlots)
        slots = [UInt32](repeating: 0, count: tree.inodeCount)
        try placeInodes(of: tree)
        try placeRegions(regionSlots)
        try placeSparseFiles(of: tree)
    }

    // MARK: Metadata

    private mutating func placeInodes(of tree: ImageTree) throws(CacheError) {
        var position = Self.block
        for node in 0..<tree.count {
            let number = tree.inode(of: node)
            guard tree.firstNode(of: number) == node else { continue }
            let inode = tree[inode: number]
            if ErofsInode.isLeftOut(inode) {
                notes.add(.device, "'\(tree.shownPath(of: node))', \(inode.deviceMajor):\(inode.deviceMinor)")
                continue
            }
            try check(inode, node, of: tree)
            let attributes = ErofsAttributes.encode(of: inode, in: tree) { name, reason in
                notes.add(reason, "\(name) of '\(tree.shownPath(of: node))'")
            }
            let head = UInt64(ErofsFormat.inodeBytes + attributes.count)
            let tail = tail(of: inode, number, node, in: tree, behind: head, from: &position)
            slots[number] = UInt32(position >> UInt64(ErofsFormat.slotBits))
            inodeCount += 1
            position = ErofsFormat.roundUp(position + head + tail, to: UInt64(ErofsFormat.slotBytes))
            guard position <= Self.mostMetadata else { throw Self.tooLarge }
        }
        position = ErofsFormat.roundUp(position, to: Self.block)
        for index in separate.indices {
            separate[index].block = UInt32(position / Self.block)
            position = ErofsFormat.roundUp(position + separate[index].bytes, to: Self.block)
            guard position <= Self.mostMetadata else { throw Self.tooLarge }
        }
        metadataBytes = position
    }

    private static var tooLarge: CacheError {
        CacheError(.limitExceeded, "the files of the image need more than \(mostMetadata >> 30) GiB of metadata")
    }

    /// How many bytes an inode has behind it; moves it to where they cross no block, or gives them blocks of their own.
    private mutating func tail(
        of inode: ImageTree.Inode, _ number: Int, _ node: Int, in tree: ImageTree, behind head: UInt64,
        from position: inout UInt64
    ) -> UInt64 {
        let bytes: UInt64
        switch inode.kind {
        case .file where inode.isSparse && inode.size > 0:
            let file = ErofsSparseFile(number, of: tree)
            sparseFiles.append(file)
            return file.indexBytes(inode.size)
        case .directory: bytes = ErofsDirectory(node, of: tree).byteCount(tree)
        case .symbolicLink: bytes = UInt64(tree.targetLength(of: inode))
        default: return 0
        }
        let place = (position + head) % Self.block
        if place + bytes <= Self.block { return bytes }
        // Further on, at the beginning of the next block.
        let gap = ErofsFormat.roundUp(Self.block - place, to: UInt64(ErofsFormat.slotBytes))
        let moved = (place + gap) % Self.block
        if moved + bytes <= Self.block, gap < Self.block - bytes {
            position += gap
            return bytes
        }
        separate.append(Separate(node: UInt32(node), block: 0, bytes: bytes))
        return 0
    }

    /// Refuses what no layer's entry table says of a file.
    private func check(_ inode: ImageTree.Inode, _ node: Int, of tree: ImageTree) throws(CacheError) {
        guard inode.kind == .file else { return }
        var end: UInt64 = 0
        var isRight = true
        if inode.isSparse {
            ErofsSparseFile.forEachSegment(of: inode, in: tree) { offset, count, _ in
                if offset < end || offset > inode.size || count > inode.size - offset { isRight = false }
                end = isRight ? offset + count : end
            }
        } else {
            isRight =
                inode.storedBytes == inode.size
                && (inode.content?.address.offset ?? 0).isMultiple(of: ErofsFormat.blockBytes)
        }
        guard isRight else {
            throw CacheError(.corrupt, "the entry table gives '\(tree.shownPath(of: node))' bytes that it cannot have")
        }
    }

    // MARK: Device

    private mutating func placeRegions(_ regionSlots: [Int]) throws(CacheError) {
        let slot = RegionAddress(slot: 1).rawValue
        deviceBytes = ErofsFormat.roundUp(metadataBytes, to: slot)
        for (layer, count) in regionSlots.enumerated() {
            guard UInt64(count) <= (ErofsFormat.blocks * Self.block - deviceBytes) / slot else {
                throw Self.deviceTooLarge
            }
            regionBlocks.append(UInt32(deviceBytes / Self.block))
            if count == 0 { continue }
            extents.append(
                ErofsExtent(
                    offset: deviceBytes, length: UInt64(count) * slot, layer: layer, address: RegionAddress(slot: 0)))
            deviceBytes += UInt64(count) * slot
        }
    }

    private mutating func placeSparseFiles(of tree: ImageTree) throws(CacheError) {
        for index in sparseFiles.indices {
            guard sparseFiles[index].deviceBytes <= ErofsFormat.blocks * Self.block - deviceBytes else {
                throw Self.deviceTooLarge
            }
            sparseFiles[index].firstBlock = UInt32(deviceBytes / Self.block)
            deviceBytes += sparseFiles[index].deviceBytes
            append(sparseFiles[index], of: tree)
            guard extents.count <= Self.mostExtents else {
                throw CacheError(
                    .limitExceeded, "the sparse files of the image have more than \(Self.mostExtents) stretches")
            }
        }
    }

    private mutating func append(_ file: ErofsSparseFile, of tree: ImageTree) {
        let inode = tree[inode: Int(file.inode)]
        guard let run = inode.content else { return }
        file.forEachExtent(in: tree) { offset, count, stored in
            let address = RegionAddress(rawValue: run.address.rawValue + stored)
            if let last = extents.last, last.offset + last.length == offset, last.layer == inode.layer,
                last.address.rawValue + last.length == address.rawValue
            {
                extents[extents.count - 1] = ErofsExtent(
                    offset: last.offset, length: last.length + count, layer: last.layer, address: last.address)
            } else {
                extents.append(ErofsExtent(offset: offset, length: count, layer: inode.layer, address: address))
            }
        }
    }

    private static var deviceTooLarge: CacheError {
        CacheError(
            .limitExceeded, "the layers and sparse files of the image need a device of more than 16 TiB, EROFS' limit")
    }
}
