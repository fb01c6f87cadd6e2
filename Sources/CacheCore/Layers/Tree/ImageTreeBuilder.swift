package import CacheBase

/// Applies the entries of an image's layers, lowest layer first, in the order of each layer's archive, and makes an
/// ``ImageTree`` of them.
///
/// It does what `umoci unpack` does on a disk (and containerd and Docker, where these agree), without a disk:
///
/// - An entry takes the place of what has its path, with all that is in it; a directory over a directory changes its
///   attributes alone, all of them: what an upper entry does not state is gone.
/// - Missing directories above an entry are made: mode 0755, root's, the time zero. One that is a symbolic link is
///   followed, inside the root; anything else that is no directory gives way to one, as in an overlay filesystem.
/// - `.wh.NAME` removes NAME, `.wh..wh..opq` all of its directory, wherever in the layer they stand: what lower layers
///   have put there, not what this one has. Other names that begin with `.wh..wh.` are a union filesystem's
///   bookkeeping.
/// - A hard link is another name of what its target means at that moment, be it a symbolic link; what its header says
///   besides does not count.
///
/// For one thread. Time and memory are bounded by the number of entries and the bytes of their names.
package struct ImageTreeBuilder {
    static let root: UInt32 = 0
    private static let whiteout = Array(".wh.".utf8)
    private static let opaque = Array(".wh..wh..opq".utf8)
    private static let reserved = Array(".wh..wh.".utf8)

    let limits: ImageTreeLimits
    private let whiteouts: Bool
    var names: NameTable
    var inodes: [ImageTree.Inode] = []
    var directories: [ImageTree.Directory] = []
    var segments: [ImageTree.Segment] = []
    var layerNames: [String] = []
    var entryCount = 0
    /// The entry table that is being read.
    var reader: EntryTableReader?
    /// The attributes that were kept last: those of one entry are mostly those of the next.
    var lastAttributes: (list: [LayerEntry.ExtendedAttribute], place: UInt32) = ([], ImageTree.none)

    /// The entry that is being applied.
    var path = EntryPath()
    /// The way from the root to its directory.
    var resolution = PathResolution()

    /// - Parameters:
    ///   - count: how many entries there will be, so that the tables need not grow; not to be trusted, and not trusted.
    ///   - whiteouts: names that begin with `.wh.` remove entries of lower layers, as in images; otherwise they are
    ///     files like others.
    package init(expecting count: Int = 0, whiteouts: Bool, limits: ImageTreeLimits = ImageTreeLimits()) {
        self.limits = limits
        self.whiteouts = whiteouts
        let count = min(max(count, 0), limits.entries)
        names = NameTable(expecting: count)
        inodes.reserveCapacity(count + 1)
        var root = ImageTree.Inode(.directory)
        root.permissions.mode = 0o755
        root.isImplied = true
        inodes.append(root)
        directories.append(ImageTree.Directory(name: ImageTree.none, pathBytes: 0))
    }

    /// Begins with the next layer.
    /// - Parameter name: for people, in errors.
    package mutating func beginLayer(_ name: String) throws(CacheError) {
        guard layerNames.count < Int(UInt16.max) else {
            throw CacheError(.limitExceeded, "an image of more than \(layerNames.count) layers")
        }
        layerNames.append(name)
    }

    /// Applies the next entry of the layer.
    /// - Throws: ``CacheError`` `.invalidInput` that names layer and entry, for what no runtime unpacks;
    ///   `.limitExceeded`.
    package mutating func apply(_ entry: LayerEntry) throws(CacheError) {
        precondition(!layerNames.isEmpty, "an entry belongs to a layer")
        entryCount += 1
        resolution.linkedNamesLeft += 64
        guard entryCount <= limits.entries, names.names.count < limits.entries * 2 else {
            throw CacheError(.limitExceeded, "the layers of the image have more than \(limits.entries) entries")
        }
        path.set(entry.path)
        guard let last = path.names.last else {
            guard entry.kind == .directory else {
                throw refusal(entry, "takes the place of the root directory, and is none")
            }
            try check(entry)
            return try describe(Self.root, as: entry)
        }
        if whiteouts, path.bytes[last].starts(with: Self.whiteout) { return try whiteOut(entry, last) }
        try check(entry)
        let directory = try parent(of: entry)
        try checkPath(entry, last.count, in: directory)
        if entry.kind == .hardLink { return try link(entry, as: last, in: directory) }
        let spot = spot(of: last, in: directory)
        if entry.kind == .directory, let place = spot.place, let inode = directoryInode(at: place) {
            try describe(inode, as: entry)
            names.names[Int(place)].layer = layer
            return touch(directory)
        }
        try put(makeInode(entry), at: spot, last, in: directory)
    }

    /// The number of the layer that is being applied, counted from 0 at the bottom.
    var layer: UInt16 { UInt16(layerNames.count - 1) }

    // MARK: Kinds of entries

    private mutating func link(_ entry: LayerEntry, as name: Range<Int>, in directory: UInt32) throws(CacheError) {
        // In this order: runtimes remove what has the name before they look for the target.
        let spot = spot(of: name, in: directory)
        if let place = spot.place { remove(place) }
        let own = path
        path.set(entry.linkTarget)
        let target = try target(of: entry)
        path = own
        let shown = String(decoding: entry.linkTarget.prefix(256), as: UTF8.self)
        guard let target else { throw refusal(entry, "is a hard link to '\(shown)', which is not there") }
        guard inodes[Int(target)].kind != .directory else {
            throw refusal(entry, "is a hard link to the directory '\(shown)'")
        }
        try put(target, at: spot, name, in: directory)
    }

    private mutating func whiteOut(_ entry: LayerEntry, _ name: Range<Int>) throws(CacheError) {
        let isOpaque = path.bytes[name] == Self.opaque[...]
        let removed = name.lowerBound + Self.whiteout.count..<name.upperBound
        if !isOpaque, EntryPath.isNoName(path.bytes[removed]) {
            throw refusal(entry, "removes no entry of its directory")
        }
        guard let directory = try find(path.names.dropLast(), for: entry) else { return }
        if isOpaque { return clean(directory) }
        if path.bytes[name].starts(with: Self.reserved) { return }
        guard let place = spot(of: removed, in: directory).place else { return }
        if names.names[Int(place)].layer != layer {
            remove(place)
        } else if let inner = directoryInode(at: place) {
            clean(inner)
        }
    }

    /// Removes from a directory, and from those in it, what lower layers have put there.
    private mutating func clean(_ directory: UInt32) {
        var pending = [directory]
        while let next = pending.popLast() {
            let number = Int(inodes[Int(next)].first)
            // Nothing of a lower layer comes back before the layer ends.
            guard directories[number].cleanedBy != layer else { continue }
            directories[number].cleanedBy = layer
            var place = directories[number].first
            directories[number].first = ImageTree.none
            while place != ImageTree.none {
                let name = names.names[Int(place)]
                if name.inode != ImageTree.none, name.layer != layer { remove(place) }
                if names.names[Int(place)].inode == ImageTree.none {
                    names.names[Int(place)].isListed = false
                } else {
                    names.names[Int(place)].next = directories[number].first
                    directories[number].first = place
                    if inodes[Int(name.inode)].kind == .directory { pending.append(name.inode) }
                }
                place = name.next
            }
        }
    }
}
