internal import CacheFiles
internal import CacheLayers

/// What a new entry of a directory is like before anything is done to it: then only what differs needs a call of its own.
struct CreationRights: Sendable {
    /// The owner of a new file.
    let userID: UInt32
    let groupID: UInt32
    /// The permission bits that the process's umask lets through.
    let mode: UInt32

    /// Makes `root` ours alone for the time being, and finds out what files in it are like by making one.
    init(probing root: OpenFile) throws {
        // What the directory around it hands down to what is made in it is not the image's: the group, and default access lists.
        try reporting("set the mode of \(root.name)") { () throws(Errno) in try root.descriptor.setMode(0o700) }
        for name in ["system.posix_acl_default", "system.posix_acl_access"] {
            // There is none, as a rule.
            do throws(Errno) { try root.descriptor.removeAttribute(name) } catch {}
        }
        let name = TemporaryName.unique(TemporaryName.insidePrefix)
        let descriptor = try reporting("write to \(root.name)") { () throws(Errno) in
            try root.descriptor.open(name, [.writeOnly, .createNew, .noFollow], mode: 0o777)
        }
        let file = OpenFile(adopting: descriptor, name: root.name)
        let status = try file.status()
        try reporting("remove a file of \(root.name)") { () throws(Errno) in try root.descriptor.remove(name) }
        userID = status.userID
        groupID = status.groupID
        mode = status.permissions & 0o777
    }

    func isOwned(_ inode: ImageTree.Inode) -> Bool { inode.uid == userID && inode.gid == groupID }
}
