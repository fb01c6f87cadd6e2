internal import Glibc

// Modes and times of directories, once nothing is written any more.
extension TreeWriter {
    /// Gives directories their modes and times, those inside another first, as a mode may lock us out.
    ///
    /// - Parameter moveUp: called when only the root and what stands directly in it is left, to move all that is in the root to another
    ///   directory, which it returns; that then gets what the image says of its root.
    func finish(moveUp: (() throws -> OpenFile)? = nil) throws {
        tree.forget()
        let tops = try tree.root.directoryNames()
        for name in tops { try finishContents(of: tree.root.openEntry(name, O_RDONLY | O_DIRECTORY)) }
        let inode = try tree.root.status().st_ino
        let top = try moveUp?() ?? tree.root
        for name in tops {
            let directory = try top.openEntry(name, O_RDONLY | O_DIRECTORY)
            if let state = directories[try directory.status().st_ino] { try set(state, of: directory) }
        }
        guard let state = directories[inode] else { return }
        if moveUp != nil, try !takeOwnerAndAttributes(top) { return }
        try set(state, of: top)
    }

    /// No deeper than ``RootedTree`` makes directories.
    private func finishContents(of directory: OpenFile) throws {
        for name in try directory.directoryNames() {
            let child = try directory.openEntry(name, O_RDONLY | O_DIRECTORY)
            try finishContents(of: child)
            if let state = directories[try child.status().st_ino] { try set(state, of: child) }
        }
    }

    private func set(_ state: FinalState, of directory: OpenFile) throws {
        try retryingInterrupts("set the mode of \(directory.name)") { fchmod(directory.descriptor, state.mode) }
        try setTime(of: directory, state.modified)
    }

    /// Gives `directory` what the root was given. `false` if it belongs to somebody else, who lets us write to it, and so keeps what it has.
    private func takeOwnerAndAttributes(_ directory: OpenFile) throws -> Bool {
        let status = try tree.root.status()
        let before = try directory.status()
        guard geteuid() == 0 || before.st_uid == geteuid() else { return false }
        if (status.st_uid, status.st_gid) != (before.st_uid, before.st_gid) {
            try retryingInterrupts("give away \(directory.name)") {
                fchown(directory.descriptor, status.st_uid, status.st_gid)
            }
        }
        for name in rootAttributes {
            guard let value = try tree.root.attribute(name) else { continue }
            _ = try value.withUnsafeBytes { try directory.setAttribute(name, $0) }
        }
        return true
    }
}
