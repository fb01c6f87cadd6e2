extension ImageTree {
    /// What one or more names of a tree stand for: 72 bytes, so that a million of them are a modest table.
    package struct Inode: Sendable {
        package var mtimeSeconds: Int64 = 0
        /// Bytes of a file as its readers see it.
        package var size: UInt64 = 0
        /// Where a file's stored bytes begin in its layer's data region; meaningless if there are none.
        package var address = RegionAddress(rawValue: 0)
        /// How many bytes of a file are stored: all of them, or the segments of a sparse one.
        package var storedBytes: UInt64 = 0
        /// 0 to 999,999,999.
        package var mtimeNanoseconds: UInt32 = 0
        package var uid: UInt32 = 0
        package var gid: UInt32 = 0
        /// How many names it has.
        package var linkCount: UInt32 = 0
        /// A number of what this kind has besides: a directory's place in ``ImageTree/directories``, the place of a symbolic link's target, a
        /// sparse file's first segment, a device's major number.
        var first: UInt32 = 0
        /// The length of a target, the number of segments, a device's minor number.
        var second: UInt32 = 0
        /// Where in ``ImageTree/text`` its extended attributes are.
        var attributes = ImageTree.none
        /// Permission bits, set-id and sticky bits.
        package var mode: UInt16 = 0
        var layerNumber: UInt16 = 0
        /// Never `.hardLink`: that is another name of something.
        package var kind: LayerEntry.Kind
        /// Whether only segments of the file are stored.
        package var isSparse = false
        /// A directory that has something in it, but no entry of its own.
        package var isImplied = false

        init(_ kind: LayerEntry.Kind) { self.kind = kind }

        /// The layer whose data region holds the bytes, counted from 0 at the bottom.
        package var layer: Int { Int(layerNumber) }
        /// The stored bytes of a file; `nil` if there are none.
        package var content: DataRun? { storedBytes > 0 ? DataRun(address: address, length: storedBytes) : nil }
        package var hasAttributes: Bool { attributes != ImageTree.none }
        /// Of a device.
        package var deviceMajor: UInt32 { kind == .characterDevice || kind == .blockDevice ? first : 0 }
        package var deviceMinor: UInt32 { kind == .characterDevice || kind == .blockDevice ? second : 0 }

        var target: Text { kind == .symbolicLink ? Text(offset: first, count: second) : Text(offset: 0, count: 0) }
    }

    /// What a directory has besides.
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
