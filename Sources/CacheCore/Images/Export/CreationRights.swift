internal import CacheFiles
internal import CacheLayers

/// The owner and mode that a new file gets from the system: a call to set them is needed only where the image says
/// otherwise.
struct CreationRights: Sendable {
    /// The owner of a new file.
    let userID: UInt32
    let groupID: UInt32
    /// The permission bits that the process's umask lets through.
    let mode: UInt32

    /// Closes `root` to other users for the time being, and finds out owner and mode of new files in it by making one.
    init(probing root: OpenFile) throws {
        // A directory can hand down its group and access lists to what is made in it; they are not the image's.
        try reporting("set the mode of \(root.name)") { () throws(Errno) in try root.descriptor.setMode(0o700) }
        for name in ["system.posix_acl_default", "system.posix_acl_access"] {
            // There is none, as a rule.
            do throws(Errno) { try root.descriptor.removeAttribute(name) } catch {}
        }
        let name = TemporaryName.unique(TemporaryName.insidePrefix)
        let descriptor = try reporting("write to \(root.name)") { () throws(Errno) in
            try root.descriptor.open(name, .newFile, mode: 0o777)
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
