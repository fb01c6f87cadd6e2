internal import CacheBase
internal import CacheFiles
internal import CacheLayers

// Owner, extended attributes, mode and time of files, in this order: a change of owner takes set-id bits and
// capabilities away, and any change but the last would change the time.
extension TreeWriter {
    /// Gives an open file or directory all that the image says of it.
    /// - Parameters:
    ///   - mode: the mode that it has already; `nil` if that is not known.
    ///   - isOwned: whether it has its owner already; `nil` if it is new.
    func describe(
        _ file: Descriptor, _ node: Int, _ inode: ImageTree.Inode, mode: UInt32?, isOwned: Bool? = nil
    ) throws {
        let wanted = try setOwner(node, inode, isOwned) { () throws(Errno) in
            try file.setOwner(user: inode.uid, group: inode.gid)
        }
        for (name, value) in tree.attributes(of: inode) where isOfImages(name, of: node) {
            try value.withUnsafeBytes { value in
                try settingAttribute(name, of: node) { name throws(Errno) in try file.setAttribute(name, value) }
            }
        }
        if mode != wanted {
            try reporting("set the mode of \(tree.shownPath(of: node))") { () throws(Errno) in
                try file.setMode(wanted)
            }
        }
        // An implied directory has the time at which it was made, as runtimes leave it.
        if inode.isImplied { return }
        let time = Self.time(of: inode)
        try reporting("set the time of \(tree.shownPath(of: node))") { () throws(Errno) in
            try file.setTimes(accessed: time, modified: time)
        }
    }

    /// The same for what cannot be opened: links, devices, pipes.
    func describe(_ node: Int, _ inode: ImageTree.Inode, in parent: OpenFile) throws {
        try tree.withName(of: node) { name in
            let directory = parent.descriptor
            let mode = try setOwner(node, inode) { () throws(Errno) in
                try directory.setOwner(of: name, user: inode.uid, group: inode.gid)
            }
            for (attribute, value) in tree.attributes(of: inode) where isOfImages(attribute, of: node) {
                try value.withUnsafeBytes { value in
                    try settingAttribute(attribute, of: node) { attribute throws(Errno) in
                        try directory.setAttribute(of: name, attribute, value)
                    }
                }
            }
            if inode.kind != .symbolicLink {
                try reporting("set the mode of \(tree.shownPath(of: node))") { () throws(Errno) in
                    try directory.setMode(of: name, mode)
                }
            }
            let time = Self.time(of: inode)
            try reporting("set the time of \(tree.shownPath(of: node))") { () throws(Errno) in
                try directory.setTimes(of: name, accessed: time, modified: time)
            }
        }
    }

    /// Gives an entry to its owner, as far as our rights go (in a user namespace, as far as its numbers are mapped).
    /// - Returns: the mode to set. Without its owner, a setuid program would run with our rights instead of its own.
    private func setOwner(
        _ node: Int, _ inode: ImageTree.Inode, _ isOwned: Bool? = nil, _ change: () throws(Errno) -> Void
    ) throws(CacheError) -> UInt32 {
        let mode = UInt32(inode.mode)
        if isOwned ?? rights.isOwned(inode) { return mode }
        do throws(Errno) {
            try change()
            return mode
        } catch {
            // The image does not say who owns a directory that it only implies.
            if inode.isImplied { return mode & 0o1777 }
            guard error == .notPermitted || error == .badArgument else {
                throw CacheError.system("give away \(tree.shownPath(of: node))", error)
            }
            notes.add(.owner, error, "'\(tree.shownPath(of: node))', which is \(inode.uid):\(inode.gid)'s")
            return mode & 0o1777
        }
    }

    /// What overlayfs would take for its own, in a tree that becomes one of its layers, is left out, as by umoci.
    private func isOfImages(_ name: FileName, of node: Int) -> Bool {
        guard name.bytes.starts(with: Self.attributesOfOverlayfs) else { return true }
        notes.add(.attributeOfOverlayfs, nil, "\(name) of '\(tree.shownPath(of: node))'")
        return false
    }

    private static let attributesOfOverlayfs = Array("trusted.overlay.".utf8)

    /// Errors that concern the attribute alone: then it is left out.
    private static let errorsOfAttributes: Set<Errno> = [
        .notPermitted, .permissionDenied, .notSupported, .noSpace, .diskQuotaExceeded, .listTooLong, .outOfRange,
        .badArgument, .noFunction,
    ]

    /// Runs what sets an attribute, and notes one that could not be set; a disk that fails is an error.
    private func settingAttribute(
        _ attribute: FileName, of node: Int, _ set: (UnsafePointer<CChar>) throws(Errno) -> Void
    ) throws(CacheError) {
        do throws(Errno) {
            try attribute.withCString(set)
        } catch {
            guard Self.errorsOfAttributes.contains(error) else {
                throw CacheError.system("set \(attribute) of \(tree.shownPath(of: node))", error)
            }
            notes.add(.attribute, error, "\(attribute) of '\(tree.shownPath(of: node))'")
        }
    }

    /// The time of the last change, which is set as that of the last access as well: a tar has no other.
    private static func time(of inode: ImageTree.Inode) -> FileTime {
        FileTime(seconds: Int(inode.modificationTime.seconds), nanoseconds: Int(inode.modificationTime.nanoseconds))
    }
}
