internal import CacheBase

// Inodes, made of what entries say.
extension ImageTreeBuilder {
    mutating func makeDirectory() -> UInt32 {
        var inode = ImageTree.Inode(.directory)
        inode.first = UInt32(directories.count)
        directories.append(ImageTree.Directory(name: ImageTree.none, pathBytes: 0))
        inodes.append(inode)
        return UInt32(inodes.count - 1)
    }

    mutating func makeInode(_ entry: LayerEntry) throws(CacheError) -> UInt32 {
        let number: UInt32
        if entry.kind == .directory {
            number = makeDirectory()
        } else {
            inodes.append(ImageTree.Inode(entry.kind))
            number = UInt32(inodes.count - 1)
        }
        try describe(number, as: entry)
        return number
    }

    /// Gives an inode all that an entry says, and nothing that it does not say.
    mutating func describe(_ number: UInt32, as entry: LayerEntry) throws(CacheError) {
        let attributes = try keep(entry.xattrs)
        var inode = inodes[Int(number)]
        inode.isImplied = false
        inode.permissions = entry.permissions
        inode.modificationTime = entry.modificationTime
        inode.attributes = attributes
        inode.layerNumber = layer
        switch entry.kind {
        case .file:
            inode.size = entry.size
            inode.content = entry.content
            if let list = entry.segments { try keep(list, of: &inode) }
        case .symbolicLink:
            try checkText(adding: entry.linkTarget.count)
            let target = names.append(entry.linkTarget)
            (inode.first, inode.second) = (target.offset, target.count)
        case .characterDevice, .blockDevice:
            (inode.first, inode.second) = (entry.deviceMajor, entry.deviceMinor)
        case .directory, .fifo, .hardLink: break
        }
        inodes[Int(number)] = inode
    }

    private mutating func keep(
        _ list: [LayerEntry.Segment], of inode: inout ImageTree.Inode
    ) throws(CacheError) {
        guard list.count <= limits.segments - segments.count else {
            throw CacheError(
                .limitExceeded, "the sparse files of the image have more than \(limits.segments) segments")
        }
        inode.isSparse = true
        (inode.first, inode.second) = (UInt32(segments.count), UInt32(list.count))
        var stored: UInt64 = 0
        for segment in list {
            segments.append(ImageTree.Segment(offset: segment.offset, stored: stored))
            stored += segment.length
        }
    }

    /// Keeps attributes: their number, then for each the lengths of name and value, and both.
    private mutating func keep(_ list: [LayerEntry.ExtendedAttribute]) throws(CacheError) -> UInt32 {
        if list.isEmpty { return ImageTree.none }
        if list == lastAttributes.list { return lastAttributes.place }
        var bytes: [UInt8] = []
        func number(_ value: Int) { withUnsafeBytes(of: UInt32(value)) { bytes.append(contentsOf: $0) } }
        number(list.count)
        for attribute in list {
            number(attribute.name.count)
            number(attribute.value.count)
            bytes += attribute.name
            bytes += attribute.value
        }
        try checkText(adding: bytes.count)
        lastAttributes = (list, names.append(bytes).offset)
        return lastAttributes.place
    }

    func checkText(adding count: Int) throws(CacheError) {
        guard count < limits.textBytes - names.text.count else {
            throw CacheError(
                .limitExceeded, "the names and attributes of the image's files have more than \(limits.textBytes) bytes"
            )
        }
    }
}
