internal import CacheBase

/// The way to a directory of a tree: what of it was found, and what is missing.
struct PathWay {
    /// A name on the way.
    enum Step {
        /// In the path of the entry.
        case path(Range<Int>)
        /// In the target of a symbolic link.
        case target(Range<Int>)
    }

    /// Inodes of the directories that are there; the root first.
    var found: [UInt32] = []
    /// The names after them, of which the first is not there or is no directory.
    var missing: [Step] = []
    /// What is left to be looked at, the next one last.
    var pending: [Step] = []

    mutating func begin(_ names: ArraySlice<Range<Int>>) {
        found.removeAll(keepingCapacity: true)
        found.append(ImageTreeBuilder.root)
        missing.removeAll(keepingCapacity: true)
        pending.removeAll(keepingCapacity: true)
        for name in names.reversed() { pending.append(.path(name)) }
    }

    /// The last directory that is there.
    var end: UInt32 { found.last ?? ImageTreeBuilder.root }
}

// Finding the directory of an entry, as a process of the container would: `/` and `..` never lead out of the root.
extension ImageTreeBuilder {
    /// The directory that `entry` belongs in; missing ones are made.
    mutating func parent(of entry: LayerEntry) throws(CacheError) -> UInt32 {
        let parents = path.names.dropLast()
        guard let first = parents.first, let last = parents.last else { return Self.root }
        let text = path.bytes[first.lowerBound..<last.upperBound]
        // Entries of one directory mostly follow one another.
        if let lastParent, lastParent.path.count == text.count, lastParent.path[...] == text {
            return lastParent.directory
        }
        try walk(parents, for: entry)
        var directory = way.end
        for step in way.missing {
            let name = name(of: step)
            try checkPath(entry, name.count, in: directory)
            let spot = name.withUnsafeBytes { names.find($0, in: directory) }
            let made = makeDirectory()
            inodes[Int(made)].isImplied = true
            inodes[Int(made)].mode = 0o755
            inodes[Int(made)].layerNumber = layer
            // As every kernel does when a directory is made.
            if inodes[Int(directory)].mode & 0o2000 != 0 {
                inodes[Int(made)].mode |= 0o2000
                inodes[Int(made)].gid = inodes[Int(directory)].gid
            }
            try put(made, at: spot, name, in: directory)
            directory = made
        }
        lastParent = (Array(text), directory)
        return directory
    }

    /// The directory at `parents`; `nil` if there is none.
    mutating func find(_ parents: ArraySlice<Range<Int>>, for entry: LayerEntry) throws(CacheError) -> UInt32? {
        try walk(parents, for: entry)
        return way.missing.isEmpty ? way.end : nil
    }

    /// The inode that the current path, a hard link's target, stands for; its last name is not followed.
    mutating func target(of entry: LayerEntry) throws(CacheError) -> UInt32? {
        guard let last = path.names.last else { return Self.root }
        guard let directory = try find(path.names.dropLast(), for: entry),
            let place = spot(of: last, in: directory).place
        else { return nil }
        let inode = names.names[Int(place)].inode
        return inode == ImageTree.none ? nil : inode
    }

    /// Follows `parents` as far as they lead. What is missing is taken by its text, so that `gone/..` is where it began.
    private mutating func walk(_ parents: ArraySlice<Range<Int>>, for entry: LayerEntry) throws(CacheError) {
        way.begin(parents)
        var linksLeft = ImageTreeLimits.linksFollowed
        while let step = way.pending.popLast() {
            let name = name(of: step)
            if EntryPath.isUp(name) {
                if way.missing.popLast() == nil, way.found.count > 1 { way.found.removeLast() }
                continue
            }
            guard way.missing.isEmpty, let place = name.withUnsafeBytes({ names.find($0, in: way.end) }).place,
                case let number = names.names[Int(place)].inode, number != ImageTree.none
            else {
                way.missing.append(step)
                continue
            }
            let inode = inodes[Int(number)]
            switch inode.kind {
            case .directory: way.found.append(number)
            case .symbolicLink:
                linksLeft -= 1
                guard linksLeft >= 0 else { throw refusal(entry, "lies behind too many symbolic links") }
                try follow(inode.target, for: entry)
            default: way.missing.append(step)
            }
        }
    }

    private mutating func follow(_ target: ImageTree.Text, for entry: LayerEntry) throws(CacheError) {
        let text = names.text[Int(target.offset)..<Int(target.offset) + Int(target.count)]
        if text.first == UInt8(ascii: "/") { way.found.removeLast(way.found.count - 1) }
        let before = way.pending.count
        EntryPath.forEachName(in: text) { way.pending.append(.target($0)) }
        way.pending[before...].reverse()
        linkedNamesLeft -= way.pending.count - before
        guard linkedNamesLeft >= 0 else {
            throw CacheError(
                .limitExceeded,
                "\(place(of: entry)) lies behind symbolic links that lead over more than"
                    + " \(ImageTreeLimits.linkedNames) names")
        }
    }

    private func name(of step: PathWay.Step) -> ArraySlice<UInt8> {
        switch step {
        case .path(let range): path.bytes[range]
        case .target(let range): names.text[range]
        }
    }

    // MARK: What Linux takes

    /// Refuses what can be made on no Linux, whatever the filesystem.
    func check(_ entry: LayerEntry) throws(CacheError) {
        if let name = path.names.first(where: { $0.count > ImageTreeLimits.nameBytes }) {
            throw refusal(entry, "has a name of \(name.count) bytes; Linux takes \(ImageTreeLimits.nameBytes)")
        }
        if entry.kind == .symbolicLink {
            guard !entry.linkTarget.isEmpty else { throw refusal(entry, "is a symbolic link without a target") }
            guard entry.linkTarget.count <= ImageTreeLimits.pathBytes else {
                throw refusal(
                    entry,
                    "is a symbolic link to \(entry.linkTarget.count) bytes; Linux takes \(ImageTreeLimits.pathBytes)")
            }
        }
        guard entry.size <= UInt64(Int64.max) else { throw refusal(entry, "has \(entry.size) bytes") }
        for attribute in entry.xattrs {
            guard (1...ImageTreeLimits.attributeNameBytes).contains(attribute.name.count),
                attribute.value.count <= ImageTreeLimits.attributeValueBytes
            else {
                throw refusal(
                    entry,
                    "has an extended attribute of \(attribute.name.count) bytes of name and"
                        + " \(attribute.value.count) of value; Linux takes \(ImageTreeLimits.attributeNameBytes) and"
                        + " \(ImageTreeLimits.attributeValueBytes)")
            }
        }
    }

    /// Refuses what would have too long a path, links followed.
    func checkPath(_ entry: LayerEntry, _ count: Int, in directory: UInt32) throws(CacheError) {
        let above = Int(directories[Int(inodes[Int(directory)].first)].pathBytes)
        guard count <= ImageTreeLimits.nameBytes else {
            throw refusal(
                entry, "lies in a directory whose name has \(count) bytes; Linux takes \(ImageTreeLimits.nameBytes)")
        }
        guard above + 1 + count <= ImageTreeLimits.pathBytes else {
            throw refusal(
                entry, "has a path of \(above + 1 + count) bytes; Linux takes \(ImageTreeLimits.pathBytes)")
        }
    }

    func refusal(_ entry: LayerEntry, _ what: String) -> CacheError {
        CacheError(.invalidInput, "\(place(of: entry)) \(what)")
    }

    private func place(of entry: LayerEntry) -> String {
        "\(layerNames.last ?? "a layer"): '\(String(decoding: entry.path.prefix(256), as: UTF8.self))'"
    }
}
