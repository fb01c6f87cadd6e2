internal import CacheFiles
internal import CacheLayers

/// The directories of a tree that is being written, confined to its root: whatever an image says, none of them lies
/// outside.
///
/// A directory is opened by its one name below its parent, which is open, and never through a symbolic link. That is
/// what `openat2(2)` calls RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS; a step at a time needs no path of any length, and
/// no kernel that has the call. The last 16 that were used stay open, so that a file in one of them costs one call. For
/// one thread.
final class ConfinedDirectories {
    private static let capacity = 16

    private let tree: ImageTree
    private let root: OpenFile
    /// The last one used at the end.
    private var open: [(node: Int, file: OpenFile)] = []
    private var way: [Int] = []

    init(_ tree: ImageTree, root: OpenFile) {
        self.tree = tree
        self.root = root
    }

    /// The directory that `node` is in. It was made before.
    func parent(of node: Int) throws -> OpenFile { try directory(tree.parent(of: node)) }

    /// A directory, opened one name after the other from the nearest one that is open: however deep it is, few
    /// descriptors are in use.
    func directory(_ node: Int) throws -> OpenFile {
        if node == 0 { return root }
        if let last = open.last, last.node == node { return last.file }
        way.removeAll(keepingCapacity: true)
        var (nearest, file) = (node, root)
        while nearest != 0 {
            if let index = open.lastIndex(where: { $0.node == nearest }) {
                let hit = open.remove(at: index)
                open.append(hit)
                file = hit.file
                break
            }
            way.append(nearest)
            nearest = tree.parent(of: nearest)
        }
        while let next = way.popLast() {
            file = try tree.openDirectory(next, in: file)
            if open.count == Self.capacity { open.removeFirst() }
            open.append((next, file))
        }
        return file
    }

    /// Closes all: what stands under their names is going to be somewhere else.
    func forget() { open.removeAll() }
}

extension ImageTree {
    /// Opens the directory that stands for `node` in `parent`, and never a link.
    func openDirectory(_ node: Int, in parent: OpenFile) throws -> OpenFile {
        let descriptor = try withName(of: node) { name in
            try reporting("open \(shownPath(of: node))") { () throws(Errno) in
                try parent.descriptor.open(name, .subdirectory)
            }
        }
        return OpenFile(adopting: descriptor, name: "a directory of the image")
    }
}
