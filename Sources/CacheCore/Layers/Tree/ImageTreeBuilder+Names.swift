internal import CacheBase

// Names, and what they stand for.
extension ImageTreeBuilder {
    /// The inode of the directory that a name stands for; `nil` if that is none.
    func directoryInode(at place: UInt32) -> UInt32? {
        let inode = names.names[Int(place)].inode
        return inode != ImageTree.none && inodes[Int(inode)].kind == .directory ? inode : nil
    }

    /// Where a name of the current path is, or would be.
    func spot(of name: Range<Int>, in directory: UInt32) -> NameTable.Spot {
        path.bytes.withUnsafeBytes { names.find(UnsafeRawBufferPointer(rebasing: $0[name]), in: directory) }
    }

    /// Makes a name stand for nothing. What was in a directory goes with it: nothing else leads there.
    mutating func remove(_ place: UInt32) {
        let inode = names.names[Int(place)].inode
        guard inode != ImageTree.none else { return }
        names.names[Int(place)].inode = ImageTree.none
        if [.directory, .symbolicLink].contains(inodes[Int(inode)].kind) { resolution.lastParent = nil }
    }

    /// Makes a name of the current path stand for `inode`, whatever it stood for.
    mutating func put(
        _ inode: UInt32, at spot: NameTable.Spot, _ name: Range<Int>, in directory: UInt32
    ) throws(CacheError) {
        try put(inode, at: spot, path.bytes[name], in: directory)
    }

    /// The same for a name from elsewhere.
    mutating func put(
        _ inode: UInt32, at spot: NameTable.Spot, _ name: ArraySlice<UInt8>, in directory: UInt32
    ) throws(CacheError) {
        let place: UInt32
        if let known = spot.place {
            remove(known)
            names.names[Int(known)].inode = inode
            place = known
        } else {
            try checkText(adding: name.count)
            place = names.insert(name, in: directory, hash: spot.hash, inode: inode, layer: layer)
        }
        settle(place, inode, in: directory)
    }

    /// Completes the tables once a name stands for something new.
    private mutating func settle(_ place: UInt32, _ inode: UInt32, in directory: UInt32) {
        let parent = Int(inodes[Int(directory)].first)
        if !names.names[Int(place)].isListed {
            names.names[Int(place)].isListed = true
            names.names[Int(place)].next = directories[parent].first
            directories[parent].first = place
        }
        if inodes[Int(inode)].kind == .directory {
            let own = Int(inodes[Int(inode)].first)
            directories[own].name = place
            directories[own].pathBytes =
                directories[parent].pathBytes + (directory == Self.root ? 0 : 1) + UInt16(names.names[Int(place)].count)
        }
        names.names[Int(place)].layer = layer
        touch(directory)
    }

    /// Notes that this layer has made something under the directory `inode`, so that its whiteouts do not remove it.
    mutating func touch(_ directory: UInt32) {
        var inode = directory
        while inode != Self.root {
            let place = Int(directories[Int(inodes[Int(inode)].first)].name)
            // Then those above it are, too.
            if names.names[place].layer == layer { return }
            names.names[place].layer = layer
            inode = names.names[place].directory
        }
    }
}
