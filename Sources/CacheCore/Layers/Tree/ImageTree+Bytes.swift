internal import CacheFiles

// Names and targets as bytes, for who writes them one after the other.
extension ImageTree {
    /// How many bytes the name of a node has: 0 for the root, else 1 to 255.
    package func nameLength(of node: Int) -> Int { Int(nodes[node].name.count) }

    /// Appends the name of a node to `bytes`.
    package func appendName(of node: Int, to bytes: inout [UInt8]) { append(nodes[node].name, to: &bytes) }

    /// How many bytes the target of a symbolic link has; 0 for anything else.
    package func targetLength(of inode: Inode) -> Int { Int(inode.target.count) }

    /// Appends the target of a symbolic link to `bytes`; nothing for anything else.
    package func appendTarget(of inode: Inode, to bytes: inout [UInt8]) { append(inode.target, to: &bytes) }

    /// A path for messages, not longer than a line should be.
    package func shownPath(of node: Int) -> String {
        node == 0 ? "/" : "\(FileName(bytes: path(of: node).bytes.prefix(256)))"
    }

    private func append(_ text: Text, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: self.text[Int(text.offset)..<Int(text.offset) + Int(text.count)])
    }
}
