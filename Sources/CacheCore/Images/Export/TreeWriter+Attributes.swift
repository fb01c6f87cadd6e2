internal import CLinux
internal import CacheBase
internal import CacheFiles
internal import CacheLayers
internal import Glibc

// What files are like. The owner first: changing it takes set-id bits and capabilities away. The time last.
extension TreeWriter {
    /// Gives an open file or directory all that the image says of it.
    /// - Parameters:
    ///   - mode: the mode that it has already; `nil` if that is not known.
    ///   - isOwned: whether it has its owner already; `nil` if it is new.
    func describe(
        _ file: Int32, _ node: Int, _ inode: ImageTree.Inode, mode: mode_t?, isOwned: Bool? = nil
    ) throws {
        let wanted = try setOwner(node, inode, isOwned) { fchown(file, inode.uid, inode.gid) }
        for (name, value) in tree.attributes(of: inode) where isOfImages(name, of: node) {
            let result = name.withCString { name in
                value.withUnsafeBytes { fsetxattr(file, name, $0.baseAddress, $0.count, 0) }
            }
            if result != 0 { try omit(name, of: node) }
        }
        if mode != wanted {
            try retryingInterrupts("set the mode of \(tree.shownPath(of: node))") { fchmod(file, wanted) }
        }
        // An implied directory has the time at which it was made, as runtimes leave it.
        if inode.isImplied { return }
        try retryingInterrupts("set the time of \(tree.shownPath(of: node))") {
            withUnsafeTimes(inode) { futimens(file, $0) }
        }
    }

    /// The same for what cannot be opened: links, devices, pipes.
    func describe(_ node: Int, _ inode: ImageTree.Inode, in parent: OpenFile) throws {
        try tree.withName(of: node) { name in
            let mode = try setOwner(node, inode) {
                fchownat(parent.descriptor, name, inode.uid, inode.gid, AT_SYMLINK_NOFOLLOW)
            }
            for (attribute, value) in tree.attributes(of: inode) where isOfImages(attribute, of: node) {
                if setAttribute(attribute, value, of: name, in: parent) != 0 { try omit(attribute, of: node) }
            }
            if inode.kind != .symbolicLink {
                try retryingInterrupts("set the mode of \(tree.shownPath(of: node))") {
                    fchmodat(parent.descriptor, name, mode, 0)
                }
            }
            try retryingInterrupts("set the time of \(tree.shownPath(of: node))") {
                withUnsafeTimes(inode) { utimensat(parent.descriptor, name, $0, AT_SYMLINK_NOFOLLOW) }
            }
        }
    }

    /// Gives an entry to its owner, as far as our rights go (in a user namespace, as far as its numbers are mapped).
    /// - Returns: the mode to set. Without its owner, a setuid program would run with our rights instead of its own.
    private func setOwner(
        _ node: Int, _ inode: ImageTree.Inode, _ isOwned: Bool? = nil, _ change: () -> Int32
    ) throws -> mode_t {
        let mode = mode_t(inode.mode)
        if isOwned ?? rights.isOwned(inode) || change() == 0 { return mode }
        // Nobody has said whose an implied directory is.
        if inode.isImplied { return mode & 0o1777 }
        let number = errno
        guard number == EPERM || number == EINVAL else {
            throw CacheError.system("give away \(tree.shownPath(of: node))", number)
        }
        notes.add(.owner, number, "'\(tree.shownPath(of: node))', which is \(inode.uid):\(inode.gid)'s")
        return mode & 0o1777
    }

    /// Sets an attribute of an entry that cannot be opened. There is no call for that which takes a directory and a name before Linux 6.13;
    /// older ones are told by way of /proc.
    private func setAttribute(
        _ attribute: FileName, _ value: [UInt8], of name: UnsafePointer<CChar>, in parent: OpenFile
    ) -> Int32 {
        let path = Array("/proc/self/fd/\(parent.descriptor)/".utf8) + FileName(copying: name).bytes
        return FileName(bytes: path).withCString { path in
            attribute.withCString { attribute in
                value.withUnsafeBytes { value in
                    let result = lsetxattr(path, attribute, value.baseAddress, value.count, 0)
                    guard result != 0, errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG else {
                        return result
                    }
                    return layercache_lsetxattrat(parent.descriptor, name, attribute, value.baseAddress, value.count)
                }
            }
        }
    }

    /// What overlayfs would take for its own, in a tree that becomes one of its layers, is left out, as by umoci.
    private func isOfImages(_ name: FileName, of node: Int) -> Bool {
        guard name.bytes.starts(with: Self.attributesOfOverlayfs) else { return true }
        notes.add(.attributeOfOverlayfs, 0, "\(name) of '\(tree.shownPath(of: node))'")
        return false
    }

    private static let attributesOfOverlayfs = Array("trusted.overlay.".utf8)

    /// Notes an attribute that was not set; a disk that fails is an error, and so is what says nothing about the attribute.
    private func omit(_ attribute: FileName, of node: Int) throws {
        let number = errno
        guard [EPERM, EACCES, ENOTSUP, ENOSPC, EDQUOT, E2BIG, ERANGE, EINVAL, ENOSYS].contains(number) else {
            throw CacheError.system("set \(attribute) of \(tree.shownPath(of: node))", number)
        }
        notes.add(.attribute, number, "\(attribute) of '\(tree.shownPath(of: node))'")
    }

    /// Access and modification time; nothing says more of the former.
    private func withUnsafeTimes<Result>(
        _ inode: ImageTree.Inode, _ body: (UnsafePointer<timespec>) -> Result
    ) -> Result {
        let time = timespec(
            tv_sec: Int(inode.modificationTime.seconds), tv_nsec: Int(inode.modificationTime.nanoseconds))
        return withUnsafePointer(to: (time, time)) { times in
            times.withMemoryRebound(to: timespec.self, capacity: 2, body)
        }
    }
}

extension FileName {
    fileprivate init(copying name: UnsafePointer<CChar>) {
        self.init(bytes: UnsafeRawBufferPointer(start: name, count: strlen(name)))
    }
}
