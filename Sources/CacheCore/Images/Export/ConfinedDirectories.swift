internal import CacheFiles
internal import CacheLayers

/// Open directories of a tree that is being written, the last ones used: below one of them, a name is made by one call, and no path is
/// ever looked up by the kernel. For one thread.
final class DirectoryCache {
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

    /// A directory, opened one name after the other from the nearest one that is open: however deep it is, few descriptors are in use.
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
                try parent.descriptor.open(name, [.directory, .noFollow])
            }
        }
        return OpenFile(adopting: descriptor, name: "a directory of the image")
    }

    /// A path for messages, not longer than a line should be.
    func shownPath(of node: Int) -> String {
        let path = path(of: node)
        return node == 0 ? "/" : "\(FileName(bytes: path.bytes.prefix(256)))"
    }
}
