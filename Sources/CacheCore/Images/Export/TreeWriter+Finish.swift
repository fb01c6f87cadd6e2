package import CacheFiles
internal import CacheLayers

// Owners, modes and times of directories, once nothing is written any more.
extension TreeWriter {
    /// Gives directories their owners, modes and times, those inside another first, as a mode may lock us out.
    ///
    /// - Parameter moveUp: called when only the root and what stands directly in it is left, to move all that is in the
    ///   root to another directory, which it returns; that then gets what the image says of its root, if it says
    ///   anything and if it is ours.
    package func finishDirectories(moveUp: (() throws -> OpenFile)? = nil) throws {
        try withDirectories { directories in
            for node in (1..<max(tree.count, 1)).reversed() where tree.parent(of: node) != 0 {
                try finish(node, in: { try directories.parent(of: node) })
            }
            directories.forget()
        }
        forgetDirectories()
        let top = try moveUp?() ?? root
        for node in tree.children(of: 0) { try finish(node, in: { top }) }
        let inode = tree.attributes(of: 0)
        if moveUp != nil {
            let status = try top.status()
            guard !inode.isImplied, status.isOurs else { return }
            // A directory that was there before may have another owner than new files have.
            let isOwned = (status.userID, status.groupID) == (inode.uid, inode.gid)
            return try describe(top.descriptor, 0, inode, mode: nil, isOwned: isOwned)
        }
        try describe(top.descriptor, 0, inode, mode: nil)
    }

    private func finish(_ node: Int, in parent: () throws -> OpenFile) throws {
        let inode = tree.attributes(of: node)
        guard inode.kind == .directory else { return }
        try checkCancelled()
        let directory = try tree.openDirectory(node, in: parent())
        try describe(directory.descriptor, node, inode, mode: 0o700)
    }
}
