extension ImageTree {
    /// A file, directory, link or device of the tree, which one or more names stand for. 72 bytes.
    package struct Inode: Sendable {
        // In an order that leaves few gaps.
        /// The stored bytes of a file in its layer's data region: all of them, or the segments of a sparse one; `nil`
        /// if there are none.
        package var content: DataRun?
        /// Never `.hardLink`: that is another name of something.
        package var kind: LayerEntry.Kind
        /// Whether only segments of the file are stored.
        package var isSparse = false
        /// A directory that has something in it, but no entry of its own.
        package var isImplied = false
        package var permissions = LayerEntry.Permissions()
        var layerNumber: UInt16 = 0
        package var modificationTime = LayerEntry.ModificationTime()
        /// How many names it has.
        package var linkCount: UInt32 = 0
        /// Bytes of a file as its readers see it.
        package var size: UInt64 = 0
        /// The first of two numbers whose meaning depends on the kind: a directory's index in
        /// ``ImageTree/directories``, the offset of a symbolic link's target in ``ImageTree/text``, the index of a
        /// sparse file's first segment, a device's major number.
        var first: UInt32 = 0
        /// The second: the length of a target, the number of segments, a device's minor number.
        var second: UInt32 = 0
        /// Where in ``ImageTree/text`` its extended attributes are.
        var attributes = ImageTree.none

        init(_ kind: LayerEntry.Kind) { self.kind = kind }

        /// The layer whose data region holds the bytes, counted from 0 at the bottom.
        package var layer: Int { Int(layerNumber) }
        /// Where the stored bytes begin; of no meaning if there are none.
        var address: RegionAddress { content?.address ?? RegionAddress(rawValue: 0) }
        /// How many bytes of a file are stored.
        package var storedBytes: UInt64 { content?.length ?? 0 }
        package var mode: UInt16 { permissions.mode }
        package var uid: UInt32 { permissions.uid }
        package var gid: UInt32 { permissions.gid }
        package var hasAttributes: Bool { attributes != ImageTree.none }
        package var deviceMajor: UInt32 { kind == .characterDevice || kind == .blockDevice ? first : 0 }
        package var deviceMinor: UInt32 { kind == .characterDevice || kind == .blockDevice ? second : 0 }

        var target: Text { kind == .symbolicLink ? Text(offset: first, count: second) : Text(offset: 0, count: 0) }
    }

    /// What the tree keeps of a directory besides its inode.
    struct Directory {
        /// While the tree is built, the head of the list of its names; then its first node.
        var first = ImageTree.none
        /// How many nodes it has, once the tree is built.
        var count: UInt32 = 0
        /// Its own name, while the tree is built; ``ImageTree/none`` for the root.
        var name: UInt32
        /// Bytes of its path.
        var pathBytes: UInt16
        /// The layer that has last removed from it, and from all directories in it, what lower layers had.
        var cleanedBy = UInt16.max
    }
}
