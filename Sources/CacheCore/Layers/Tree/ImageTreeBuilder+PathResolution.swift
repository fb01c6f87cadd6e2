internal import CacheBase

// Path resolution, as the kernel does it for a process of the container: symbolic links are followed, `/` and `..`
// never lead out of the root.
extension ImageTreeBuilder {
    /// The directory that `entry` belongs in; missing ones are made.
    mutating func parent(of entry: LayerEntry) throws(CacheError) -> UInt32 {
        let parents = path.names.dropLast()
        guard let first = parents.first, let last = parents.last else { return Self.root }
        let text = path.bytes[first.lowerBound..<last.upperBound]
        // Entries of one directory mostly follow one another.
        if let lastParent = resolution.lastParent, lastParent.path.count == text.count, lastParent.path[...] == text {
            return lastParent.directory
        }
        try resolve(parents, for: entry)
        var directory = resolution.end
        for step in resolution.missing {
            let name = name(of: step)
            try checkPath(entry, name.count, in: directory)
            let spot = name.withUnsafeBytes { names.find($0, in: directory) }
            let made = makeDirectory()
            inodes[Int(made)].isImplied = true
            inodes[Int(made)].permissions.mode = 0o755
            inodes[Int(made)].layerNumber = layer
            // As every kernel does when a directory is made.
            if inodes[Int(directory)].mode & 0o2000 != 0 {
                inodes[Int(made)].permissions.mode |= 0o2000
                inodes[Int(made)].permissions.gid = inodes[Int(directory)].gid
            }
            try put(made, at: spot, name, in: directory)
            directory = made
        }
        resolution.lastParent = (Array(text), directory)
        return directory
    }

    /// The directory at `parents`; `nil` if there is none.
    mutating func find(_ parents: ArraySlice<Range<Int>>, for entry: LayerEntry) throws(CacheError) -> UInt32? {
        try resolve(parents, for: entry)
        return resolution.missing.isEmpty ? resolution.end : nil
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

    /// Resolves `parents` from the root, as far as they lead. What is missing is taken by its text, so that `gone/..`
    /// is where it began.
    private mutating func resolve(_ parents: ArraySlice<Range<Int>>, for entry: LayerEntry) throws(CacheError) {
        resolution.begin(parents)
        var linksLeft = ImageTreeLimits.linksFollowed
        while let step = resolution.pending.popLast() {
            let name = name(of: step)
            if EntryPath.isUp(name) {
                if resolution.missing.popLast() == nil, resolution.found.count > 1 { resolution.found.removeLast() }
                continue
            }
            guard resolution.missing.isEmpty,
                let place = name.withUnsafeBytes({ names.find($0, in: resolution.end) }).place,
                case let number = names.names[Int(place)].inode, number != ImageTree.none
            else {
                resolution.missing.append(step)
                continue
            }
            let inode = inodes[Int(number)]
            switch inode.kind {
            case .directory: resolution.found.append(number)
            case .symbolicLink:
                linksLeft -= 1
                guard linksLeft >= 0 else { throw refusal(entry, "lies behind too many symbolic links") }
                try follow(inode.target, for: entry)
            default: resolution.missing.append(step)
            }
        }
    }

    private mutating func follow(_ target: ImageTree.Text, for entry: LayerEntry) throws(CacheError) {
        let text = names.text[Int(target.offset)..<Int(target.offset) + Int(target.count)]
        if text.first == UInt8(ascii: "/") { resolution.found.removeLast(resolution.found.count - 1) }
        let before = resolution.pending.count
        EntryPath.forEachName(in: text) { resolution.pending.append(.target($0)) }
        resolution.pending[before...].reverse()
        resolution.linkedNamesLeft -= resolution.pending.count - before
        guard resolution.linkedNamesLeft >= 0 else {
            throw CacheError(
                .limitExceeded,
                "\(place(of: entry)) lies behind symbolic links that lead over more than"
                    + " \(ImageTreeLimits.linkedNames) names")
        }
    }

    private func name(of step: PathResolution.Step) -> ArraySlice<UInt8> {
        switch step {
        case .path(let range): path.bytes[range]
        case .target(let range): names.text[range]
        }
    }
}
