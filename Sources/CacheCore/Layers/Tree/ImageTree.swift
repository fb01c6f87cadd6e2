package import CacheFiles

/// The files of an image: the entry tables of its layers, applied over one another.
///
/// It says what each path is, which names are one file, and where that file's bytes are; it holds no bytes itself,
/// reads and asks nothing, and is the same for the same tables. Made by ``ImageTreeBuilder``.
///
/// A *node* is a name in a directory; an *inode* is what one or more names stand for. Nodes are numbered by level: the
/// root is 0, those of a directory follow one another in byte order of their names, and a directory comes before all
/// that is in it. About 120 bytes a file.
package struct ImageTree: Sendable {
    struct Node {
        let parent: UInt32
        let inode: UInt32
        let name: Text
    }

    /// Bytes in ``text``; a zero byte follows them.
    struct Text {
        var offset: UInt32
        var count: UInt32
    }

    /// A stretch of stored bytes of a sparse file.
    struct Segment {
        /// Where in the file it begins.
        let offset: UInt64
        /// How many stored bytes come before it.
        let stored: UInt64
    }

    static let none = UInt32.max

    let nodes: [Node]
    let inodes: [Inode]
    /// The node by which an inode is known first; ``none`` where nothing leads to it any more.
    let firstNodes: [UInt32]
    let directories: [Directory]
    let text: [UInt8]
    let segments: [Segment]
    /// For people, as ``ImageTreeBuilder`` was told.
    package let layerNames: [String]

    /// How many nodes there are; the root is number 0.
    package var count: Int { nodes.count }
    /// How many inodes were made; some may have lost all their names.
    package var inodeCount: Int { inodes.count }

    // MARK: Nodes

    /// The directory that a node is in; the root's is the root.
    package func parent(of node: Int) -> Int { Int(nodes[node].parent) }

    /// The number of the inode that a node stands for: nodes of the same number are hard links of one another.
    package func inode(of node: Int) -> Int { Int(nodes[node].inode) }

    /// What a node stands for.
    package func attributes(of node: Int) -> Inode { inodes[Int(nodes[node].inode)] }

    /// The name of a node; empty for the root.
    package func name(of node: Int) -> FileName { FileName(bytes: bytes(nodes[node].name)) }

    /// The name as the kernel takes it.
    package func withName<Result>(of node: Int, _ body: (UnsafePointer<CChar>) throws -> Result) rethrows -> Result {
        try withCString(nodes[node].name, body)
    }

    /// The nodes in a directory, in byte order of their names; none for anything else.
    package func children(of node: Int) -> Range<Int> {
        let inode = attributes(of: node)
        guard inode.kind == .directory else { return 0..<0 }
        let directory = directories[Int(inode.first)]
        return Int(directory.first)..<Int(directory.first) + Int(directory.count)
    }

    /// The path of a node from the root, without a slash in front; empty for the root itself.
    package func path(of node: Int) -> FileName {
        var names: [FileName] = []
        var node = node
        while node != 0 {
            names.append(name(of: node))
            node = parent(of: node)
        }
        return FileName(bytes: names.reversed().map(\.bytes).joined(separator: [UInt8(ascii: "/")]))
    }

    // MARK: Inodes

    package subscript(inode number: Int) -> Inode { inodes[number] }

    /// The node by which an inode is made when a tree is written; its other names are links to that one. `nil` if no
    /// name is left.
    package func firstNode(of inode: Int) -> Int? {
        let node = firstNodes[inode]
        return node == Self.none ? nil : Int(node)
    }

    /// Where a symbolic link points to; empty for anything else.
    package func linkTarget(of inode: Inode) -> FileName { FileName(bytes: bytes(inode.target)) }

    package func withLinkTarget<Result>(
        of inode: Inode, _ body: (UnsafePointer<CChar>) throws -> Result
    ) rethrows -> Result {
        try withCString(inode.target, body)
    }

    /// The extended attributes of an inode, in the order of its entry.
    package func attributes(of inode: Inode) -> [(name: FileName, value: [UInt8])] {
        guard inode.attributes != Self.none else { return [] }
        var list: [(name: FileName, value: [UInt8])] = []
        text.withUnsafeBytes { text in
            var position = Int(inode.attributes)
            func number() -> Int {
                defer { position += 4 }
                return Int(text.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            }
            for _ in 0..<number() {
                let (name, value) = (number(), number())
                list.append(
                    (
                        FileName(bytes: text[position..<position + name]),
                        Array(text[position + name..<position + name + value])
                    ))
                position += name + value
            }
        }
        return list
    }

    /// The stretches of a sparse file that `stored` (a range of its stored bytes, from 0 on) is made of: where each
    /// begins among the stored bytes and in the file, and its length.
    package func forEachStretch(
        of inode: Inode, in stored: Range<UInt64>,
        _ body: (_ stored: UInt64, _ offset: UInt64, _ count: UInt64) throws -> Void
    ) rethrows {
        guard inode.isSparse else {
            if !stored.isEmpty { try body(stored.lowerBound, stored.lowerBound, UInt64(stored.count)) }
            return
        }
        let all = Int(inode.first)..<Int(inode.first) + Int(inode.second)
        var index = segment(holding: stored.lowerBound, all)
        while index < all.upperBound, segments[index].stored < stored.upperBound {
            let end = index + 1 < all.upperBound ? segments[index + 1].stored : inode.storedBytes
            let from = max(segments[index].stored, stored.lowerBound)
            let to = min(end, stored.upperBound)
            if from < to { try body(from, segments[index].offset + from - segments[index].stored, to - from) }
            index += 1
        }
    }

    /// The last segment that begins at or before `stored`.
    private func segment(holding stored: UInt64, _ all: Range<Int>) -> Int {
        var (low, high) = (all.lowerBound, all.upperBound)
        while low + 1 < high {
            let middle = (low + high) / 2
            if segments[middle].stored <= stored { low = middle } else { high = middle }
        }
        return low
    }

    // MARK: Text

    private func bytes(_ text: Text) -> ArraySlice<UInt8> {
        self.text[Int(text.offset)..<Int(text.offset) + Int(text.count)]
    }

    private func withCString<Result>(
        _ text: Text, _ body: (UnsafePointer<CChar>) throws -> Result
    ) rethrows -> Result {
        try self.text.withUnsafeBufferPointer { all in
            // Every text ends with a zero byte and has none inside.
            precondition(Int(text.offset) + Int(text.count) < all.count)
            let start = UnsafeBufferPointer(rebasing: all[Int(text.offset)...Int(text.offset) + Int(text.count)])
            return try start.withMemoryRebound(to: CChar.self) { characters in
                try body(characters.baseAddress.unsafelyUnwrapped)
            }
        }
    }
}
