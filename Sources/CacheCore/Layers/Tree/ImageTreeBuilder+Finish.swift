internal import Glibc

extension ImageTreeBuilder {
    /// The tree of all layers that were applied.
    package consuming func finish() -> ImageTree {
        var nodes = [ImageTree.Node(parent: 0, inode: Self.root, name: ImageTree.Text(offset: 0, count: 0))]
        var first = [UInt32](repeating: ImageTree.none, count: inodes.count)
        var children: [UInt32] = []
        var next = 0
        while next < nodes.count {
            let inode = Int(nodes[next].inode)
            inodes[inode].linkCount += 1
            if first[inode] == ImageTree.none { first[inode] = UInt32(next) }
            if inodes[inode].kind == .directory {
                collect(Int(inodes[inode].first), into: &children)
                directories[Int(inodes[inode].first)].first = UInt32(nodes.count)
                directories[Int(inodes[inode].first)].count = UInt32(children.count)
                for place in children {
                    let name = names.names[Int(place)]
                    nodes.append(ImageTree.Node(parent: UInt32(next), inode: name.inode, name: name.text))
                }
            }
            next += 1
        }
        return ImageTree(
            nodes: nodes, inodes: inodes, firstNodes: first, directories: directories, text: names.text,
            segments: segments, layerNames: layerNames)
    }

    /// The names in a directory that stand for something, in byte order.
    private func collect(_ directory: Int, into list: inout [UInt32]) {
        list.removeAll(keepingCapacity: true)
        var place = directories[directory].first
        while place != ImageTree.none {
            if names.names[Int(place)].inode != ImageTree.none { list.append(place) }
            place = names.names[Int(place)].next
        }
        names.text.withUnsafeBytes { text in
            guard let text = text.baseAddress else { return }
            list.sort { (one: UInt32, other: UInt32) -> Bool in
                let (left, right) = (names.names[Int(one)], names.names[Int(other)])
                let order = memcmp(text + Int(left.offset), text + Int(right.offset), Int(min(left.count, right.count)))
                return order != 0 ? order < 0 : left.count < right.count
            }
        }
    }
}
