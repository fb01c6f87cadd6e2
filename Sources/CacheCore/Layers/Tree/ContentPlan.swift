package import CacheBase

/// Which chunks of the layers hold bytes of which files of a tree, so that writing the files opens each chunk once, in
/// order, and no chunk that no file needs any more.
package struct ContentPlan: Sendable {
    /// A chunk, and the files that have bytes in it.
    package struct Chunk: Sendable {
        package let layer: Int
        package let slot: Int
        /// Places in ``ContentPlan/files``.
        package fileprivate(set) var files: Range<Int>
    }

    /// A file's bytes in one chunk.
    package struct Piece {
        /// The inode.
        package let inode: Int
        /// Where they are in the chunk.
        package let chunk: Range<Int>
        /// How many bytes the file has stored before them.
        package let stored: UInt64
        /// Whether this is all that the file has stored.
        package let isWhole: Bool
    }

    /// The inodes that have stored bytes, by layer and address.
    let files: [UInt32]
    /// By layer and slot.
    package let chunks: [Chunk]

    /// - Parameter slots: how many chunks the data region of each layer has.
    /// - Throws: `.corrupt` for files that share bytes, or whose bytes lie outside of their layer's data region: no
    ///   writer makes such tables.
    package init(_ tree: ImageTree, slots: [Int]) throws(CacheError) {
        var files: [UInt32] = []
        for (number, inode) in tree.inodes.enumerated() where inode.linkCount > 0 && inode.content != nil {
            files.append(UInt32(number))
        }
        // Nearly in order already.
        files.sort { (one: UInt32, other: UInt32) -> Bool in
            let (left, right) = (tree.inodes[Int(one)], tree.inodes[Int(other)])
            return left.layerNumber != right.layerNumber
                ? left.layerNumber < right.layerNumber : left.address < right.address
        }
        var chunks: [Chunk] = []
        var (layer, end) = (-1, UInt64(0))
        for (place, number) in files.enumerated() {
            let inode = tree.inodes[Int(number)]
            if inode.layer != layer { (layer, end) = (inode.layer, 0) }
            let (start, length) = (inode.address.rawValue, inode.storedBytes)
            guard layer < slots.count, start >= end, length <= UInt64(slots[layer]) << RegionAddress.slotBits,
                start <= UInt64(slots[layer]) << RegionAddress.slotBits - length
            else {
                throw CacheError(
                    .corrupt,
                    "the entry table of \(tree.layerNames[inode.layer]) gives a file bytes that it cannot have")
            }
            end = start + length
            for slot in inode.address.slot...RegionAddress(rawValue: end - 1).slot {
                if let last = chunks.last, last.layer == layer, last.slot == Int(slot) {
                    chunks[chunks.count - 1].files = last.files.lowerBound..<place + 1
                } else {
                    chunks.append(Chunk(layer: layer, slot: Int(slot), files: place..<place + 1))
                }
            }
        }
        self.files = files
        self.chunks = chunks
    }

    /// What the file at `place` has in a chunk.
    package func piece(_ place: Int, of chunk: Chunk, in tree: ImageTree) -> Piece {
        let inode = tree.inodes[Int(files[place])]
        let slotStart = UInt64(chunk.slot) << RegionAddress.slotBits
        let start = max(inode.address.rawValue, slotStart)
        let end = min(inode.address.rawValue + inode.storedBytes, slotStart + RegionAddress.slotBytes)
        return Piece(
            inode: Int(files[place]), chunk: Int(start - slotStart)..<Int(end - slotStart),
            stored: start - inode.address.rawValue, isWhole: end - start == inode.storedBytes)
    }

    /// How many chunks the bytes of an inode lie in.
    package static func chunkCount(of inode: ImageTree.Inode) -> Int {
        guard inode.storedBytes > 0 else { return 0 }
        let last = RegionAddress(rawValue: inode.address.rawValue + inode.storedBytes - 1)
        return Int(last.slot - inode.address.slot) + 1
    }
}
