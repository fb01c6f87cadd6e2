internal import CLinux
internal import CacheFiles
internal import CacheLayers
internal import Glibc

/// What a new entry of a directory is like before anything is done to it: then only what differs needs a call of its own.
struct CreationRights: Sendable {
    /// The owner of a new file.
    let userID: uid_t
    let groupID: gid_t
    /// The permission bits that the process's umask lets through.
    let mode: mode_t

    /// Makes `root` ours alone for the time being, and finds out what files in it are like by making one.
    init(probing root: OpenFile) throws {
        // What the directory around it hands down to what is made in it is not the image's: the group, and default access lists.
        try retryingInterrupts("set the mode of \(root.name)") { fchmod(root.descriptor, 0o700) }
        for name in ["system.posix_acl_default", "system.posix_acl_access"] { fremovexattr(root.descriptor, name) }
        let name = TemporaryName.unique(TemporaryName.insidePrefix)
        let descriptor = try retryingInterrupts("write to \(root.name)") {
            openat(root.descriptor, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o777)
        }
        let file = OpenFile(adopting: descriptor, name: root.name)
        let status = try file.status()
        try retryingInterrupts("remove a file of \(root.name)") { unlinkat(root.descriptor, name, 0) }
        userID = status.st_uid
        groupID = status.st_gid
        mode = status.st_mode & 0o777
    }

    func isOwned(_ inode: ImageTree.Inode) -> Bool { inode.uid == userID && inode.gid == groupID }
}
