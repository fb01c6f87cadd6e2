internal import CacheBase
package import CacheFiles
package import CacheLayers
internal import NIOConcurrencyHelpers
internal import Synchronization

/// Writes an ``ImageTree`` into an empty directory: first the directories, then everything else in any order and by
/// several threads at once, then hard links, and at last the owners, modes and times of the directories.
///
/// Whatever an image says, nothing outside of that directory is touched: every name is new, and made below the
/// descriptor of a directory that was made here (``ConfinedDirectories``); no symbolic link is ever followed.
/// Descriptors in use: 16 directories for each thread, and the files that lie in several chunks of which some have
/// come.
package final class TreeWriter: Sendable {
    let tree: ImageTree
    let plan: ContentPlan
    let root: OpenFile
    let notes = UnpackNotes()
    let rights: CreationRights
    /// The open directories that no thread is using.
    private let idle = NIOLockedValueBox<[Idle]>([])
    /// Files that lie in several chunks, and of which some came and some did not.
    let partial = NIOLockedValueBox<[Int: PartialFile]>([:])

    /// Open directories that go from thread to thread.
    ///
    /// `@unchecked Sendable`: they are taken out of the list before they are used and put back afterwards, so no two
    /// threads have the same ones.
    private struct Idle: @unchecked Sendable {
        let directories: ConfinedDirectories
    }

    /// - Parameter root: an empty directory that is written to by this alone.
    package init(_ tree: ImageTree, _ plan: ContentPlan, into root: OpenFile) throws {
        self.tree = tree
        self.plan = plan
        self.root = root
        rights = try CreationRights(probing: root)
    }

    private let isCancelled = Atomic<Bool>(false)

    /// Makes what is under way, and all that is tried afterwards, end with `CancellationError`. From any thread.
    package func cancel() { isCancelled.store(true, ordering: .relaxed) }

    func checkCancelled() throws {
        if isCancelled.load(ordering: .relaxed) { throw CancellationError() }
    }

    /// What could not be done with the rights at hand, a line for each kind and cause.
    package var omissions: [String] { notes.lines }

    func withDirectories<Result>(_ body: (ConfinedDirectories) throws -> Result) throws -> Result {
        let taken = idle.withLockedValue { $0.popLast() } ?? Idle(directories: ConfinedDirectories(tree, root: root))
        let result = try body(taken.directories)
        idle.withLockedValue { $0.append(taken) }
        return result
    }

    /// Closes the directories that are open between calls.
    func forgetDirectories() { idle.withLockedValue { $0.removeAll() } }

    // MARK: Directories and what has no bytes

    /// Makes all directories, open to us alone for now. Must be over before anything else is made.
    package func makeDirectories() throws {
        try withDirectories { directories in
            for node in 1..<max(tree.count, 1) where tree.attributes(of: node).kind == .directory {
                try checkCancelled()
                let parent = try directories.parent(of: node)
                try tree.withName(of: node) { name in
                    try reporting("make the directory \(tree.shownPath(of: node))") { () throws(Errno) in
                        try parent.descriptor.makeDirectory(name, mode: 0o700)
                    }
                }
            }
        }
    }

    /// Makes what has no bytes in a data region: empty files, files of nothing but holes, symbolic links, devices and
    /// pipes.
    package func makeEmptyOnes(_ nodes: Range<Int>) throws {
        try checkCancelled()
        try withDirectories { directories in
            for node in nodes {
                let number = tree.inode(of: node)
                let inode = tree[inode: number]
                guard inode.kind != .directory, inode.content == nil, tree.firstNode(of: number) == node else {
                    continue
                }
                let parent = try directories.parent(of: node)
                switch inode.kind {
                case .file:
                    let file = try create(node, inode, in: parent)
                    try finish(file, node, inode, writtenTo: 0)
                case .symbolicLink: try makeLink(node, inode, in: parent)
                default: try makeSpecial(node, inode, in: parent)
                }
            }
        }
    }

    /// Gives files their further names. All files must be there.
    package func makeFurtherNames() throws {
        try withDirectories { directories in
            for node in 1..<max(tree.count, 1) {
                guard let first = tree.firstNode(of: tree.inode(of: node)), first != node else { continue }
                try checkCancelled()
                let (from, to) = (try directories.parent(of: first), try directories.parent(of: node))
                do {
                    try tree.withName(of: first) { old in
                        try tree.withName(of: node) { try from.descriptor.link(old, to: to.descriptor, $0) }
                    }
                } catch let error as Errno {
                    // A device that could not be made has no other names either.
                    if error == .noSuchFile, isLeftOut(first) {
                        notes.add(.device, .notPermitted, "'\(tree.shownPath(of: node))'")
                        continue
                    }
                    throw CacheError.system("link \(tree.shownPath(of: node)) to \(tree.shownPath(of: first))", error)
                }
            }
        }
    }

    private func isLeftOut(_ node: Int) -> Bool {
        [.characterDevice, .blockDevice].contains(tree.attributes(of: node).kind)
    }

    private func makeLink(_ node: Int, _ inode: ImageTree.Inode, in parent: OpenFile) throws {
        try tree.withName(of: node) { name in
            try tree.withLinkTarget(of: inode) { target in
                try reporting("make the link \(tree.shownPath(of: node))") { () throws(Errno) in
                    try parent.descriptor.makeSymbolicLink(name, to: target)
                }
            }
        }
        try describe(node, inode, in: parent)
    }

    private func makeSpecial(_ node: Int, _ inode: ImageTree.Inode, in parent: OpenFile) throws {
        let kind: FileStatus.Kind =
            switch inode.kind {
            case .characterDevice: .characterDevice
            case .blockDevice: .blockDevice
            default: .fifo
            }
        do {
            try tree.withName(of: node) {
                try parent.descriptor.makeNode(
                    $0, kind, mode: 0o600, device: (major: inode.deviceMajor, minor: inode.deviceMinor))
            }
        } catch let error as Errno {
            guard [.notPermitted, .notSupported, .badArgument].contains(error), kind != .fifo else {
                throw CacheError.system("make \(tree.shownPath(of: node))", error)
            }
            return notes.add(.device, error, "'\(tree.shownPath(of: node))'")
        }
        try describe(node, inode, in: parent)
    }
}
