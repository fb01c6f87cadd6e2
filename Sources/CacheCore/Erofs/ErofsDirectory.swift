internal import CacheLayers

/// The entries of a directory, in byte order of their names, `.` and `..` among them, cut into blocks.
///
/// A block has the entries of 12 bytes first and their names after them; no entry crosses a block.
struct ErofsDirectory {
    private let node: Int
    private let children: Range<Int>
    /// How many children come before `.`, and before `..`.
    private let dot: Int
    private let dotDot: Int

    init(_ node: Int, of tree: ImageTree) {
        self.node = node
        children = tree.children(of: node)
        dot = Self.count(below: [0x2E], children, tree)
        dotDot = Self.count(below: [0x2E, 0x2E], children, tree)
    }

    /// How many nodes, which are in order, have names below `name`.
    private static func count(below name: [UInt8], _ nodes: Range<Int>, _ tree: ImageTree) -> Int {
        var (low, high) = (0, nodes.count)
        var other: [UInt8] = []
        while low < high {
            let middle = (low + high) / 2
            other.removeAll(keepingCapacity: true)
            tree.appendName(of: nodes.lowerBound + middle, to: &other)
            if other.lexicographicallyPrecedes(name) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// How many entries there are, those included that are left out.
    var count: Int { children.count + 2 }

    private enum Entry {
        case own
        case parent
        case child(Int)
    }

    private func entry(_ index: Int) -> Entry {
        if index == dot { return .own }
        if index == dotDot + 1 { return .parent }
        return .child(children.lowerBound + index - (index > dot ? 1 : 0) - (index > dotDot + 1 ? 1 : 0))
    }

    private func length(_ entry: Entry, _ tree: ImageTree) -> Int {
        switch entry {
        case .own: 1
        case .parent: 2
        case .child(let node): tree.nameLength(of: node)
        }
    }

    /// What a child counts for: nothing if the image has no room for it.
    private func isLeftOut(_ entry: Entry, _ tree: ImageTree) -> Bool {
        guard case .child(let node) = entry else { return false }
        return ErofsInode.isLeftOut(tree.attributes(of: node))
    }

    /// The entries from `index` on that fit into one block: where the next block begins, how many bytes they take, and
    /// how many entries they are.
    private func block(from index: Int, _ tree: ImageTree) -> (end: Int, bytes: Int, entries: Int) {
        var (index, bytes, entries) = (index, 0, 0)
        while index < count {
            let entry = entry(index)
            if !isLeftOut(entry, tree) {
                let more = ErofsFormat.entryBytes + length(entry, tree)
                if bytes + more > ErofsFormat.blockBytes { break }
                bytes += more
                entries += 1
            }
            index += 1
        }
        return (index, bytes, entries)
    }

    /// Bytes of the directory: whole blocks, and what the last one has.
    func byteCount(_ tree: ImageTree) -> UInt64 {
        var (index, bytes, last) = (0, UInt64(0), 0)
        while index < count {
            let block = block(from: index, tree)
            if block.entries == 0 { break }
            bytes += UInt64(ErofsFormat.blockBytes)
            (index, last) = (block.end, block.bytes)
        }
        return bytes - UInt64(ErofsFormat.blockBytes - last)
    }

    /// Appends the block that begins with the entry `index`.
    /// - Returns: the first entry of the next block; ``count`` at the end.
    func appendBlock(from index: Int, of tree: ImageTree, slots: [UInt32], to bytes: inout [UInt8]) -> Int {
        let block = block(from: index, tree)
        var name = block.entries * ErofsFormat.entryBytes
        for index in index..<block.end {
            let entry = entry(index)
            if isLeftOut(entry, tree) { continue }
            let target: Int
            switch entry {
            case .own: target = node
            case .parent: target = tree.parent(of: node)
            case .child(let child): target = child
            }
            bytes.append(number: UInt64(slots[tree.inode(of: target)]))
            bytes.append(number: UInt16(name))
            bytes.append(ErofsInode.entryType(of: tree.attributes(of: target).kind))
            bytes.append(0)
            name += length(entry, tree)
        }
        for index in index..<block.end {
            let entry = entry(index)
            switch entry {
            case .own: bytes.append(0x2E)
            case .parent: bytes += [0x2E, 0x2E]
            case .child(let child): if !isLeftOut(entry, tree) { tree.appendName(of: child, to: &bytes) }
            }
        }
        return block.end
    }
}
