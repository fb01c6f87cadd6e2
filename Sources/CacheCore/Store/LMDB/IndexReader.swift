internal import CLMDB
internal import Glibc

/// Finds values in one snapshot of the index, in LMDB's map, as LMDB would; but LMDB trusts its pages, and this trusts
/// nothing: whatever they hold, it ends with a value, with none, or with an error, within the part of the file that is
/// there.
///
/// About as fast as LMDB: three or four pages a value, with a binary search in each.
struct IndexReader {
    private static let branchFlag = 0x01
    private static let leafFlag = 0x02
    private static let pageHeader = 16
    private static let nodeHeader = 8
    private static let maximumDepth = 16

    /// The number of the snapshot's transaction.
    let transaction: UInt64
    private let meta: MetaPage
    private var trees: (TreeRecord, TreeRecord, TreeRecord, TreeRecord, TreeRecord)

    /// Where an entry was found, so that the next one is at hand.
    struct Place {
        fileprivate let page: Int
        fileprivate let index: Int
    }

    /// - Parameter map: the file from its first page on, as far as it reaches.
    init(_ map: UnsafeRawBufferPointer, transaction: UInt64) throws(LMDBFailure) {
        let number = transaction & 1
        let page = StoreLayout.pageBytes
        guard map.count >= 2 * page else { throw Self.damage }
        let bytes = UnsafeRawBufferPointer(rebasing: map[Int(number) * page..<Int(number + 1) * page])
        guard let meta = try? MetaPage(PageBytes(bytes: bytes), number: number), meta.transaction == transaction else {
            throw Self.damage
        }
        self.meta = meta
        self.transaction = transaction
        trees = (meta.main, meta.main, meta.main, meta.main, meta.main)
        trees.0 = try tree(.chunks, map)
        trees.1 = try tree(.extents, map)
        trees.2 = try tree(.small, map)
        trees.3 = try tree(.main, map)
        trees.4 = try tree(.meta, map)
    }

    static var damage: LMDBFailure { LMDBFailure(code: MDB_CORRUPTED, call: "a page of the index") }

    private func tree(_ table: Table, _ map: UnsafeRawBufferPointer) throws(LMDBFailure) -> TreeRecord {
        guard let place = try find(table.key, in: meta.main, map) else { throw Self.damage }
        let value = try value(at: place, map)
        guard value.count == TreeRecord.byteCount else { throw Self.damage }
        let tree = TreeRecord(PageBytes(bytes: value), at: 0)
        guard tree.flags == 0 else { throw Self.damage }
        return tree
    }

    private func tree(_ table: Table) -> TreeRecord {
        switch table {
        case .chunks: trees.0
        case .extents: trees.1
        case .small: trees.2
        case .main: trees.3
        case .meta: trees.4
        }
    }

    /// Where `key` is; `nil` if it is not there.
    func find(_ key: UnsafeRawBufferPointer, in table: Table, _ map: UnsafeRawBufferPointer) throws(LMDBFailure)
        -> Place?
    {
        try find(key, in: tree(table), map)
    }

    /// The entry after `place` if it is on the same page and has `key`.
    func next(_ place: Place, _ key: UnsafeRawBufferPointer, _ map: UnsafeRawBufferPointer) throws(LMDBFailure)
        -> Place?
    {
        let page = try self.page(place.page, isLeaf: true, map)
        let index = place.index + 1
        guard index < page.count, try page.compare(key, index) == 0 else { return nil }
        return Place(page: place.page, index: index)
    }

    /// The value of an entry, in its leaf or in pages of its own.
    func value(at place: Place, _ map: UnsafeRawBufferPointer) throws(LMDBFailure) -> UnsafeRawBufferPointer {
        let page = try self.page(place.page, isLeaf: true, map)
        let (offset, key) = try page.key(place.index)
        let start = offset + Self.nodeHeader + key.count
        let size = page.bytes.u32(offset)
        if page.bytes.u16(offset + 4) & IndexEntry.bigData == 0 {
            let value = page.bytes.slice(start, size)
            guard value.count == size else { throw Self.damage }
            return value
        }
        let number = page.bytes.u64(start)
        guard start <= StoreLayout.pageBytes - 8, number >= 2, number < UInt64(map.count / StoreLayout.pageBytes) else {
            throw Self.damage
        }
        let first = Int(number) * StoreLayout.pageBytes + StoreLayout.overflowHeaderBytes
        guard size <= map.count - first else { throw Self.damage }
        return UnsafeRawBufferPointer(rebasing: map[first..<first + size])
    }

    /// The keys above `key` on the first leaf that has one, in order; none at the end of the table.
    func keys(after key: UnsafeRawBufferPointer, in table: Table, _ map: UnsafeRawBufferPointer) throws(LMDBFailure)
        -> [UnsafeRawBufferPointer]
    {
        let tree = tree(table)
        if tree.root == TreeRecord.noRoot { return [] }
        guard tree.depth >= 1, tree.depth <= Self.maximumDepth else { throw Self.damage }
        return try keys(after: key, under: tree.root, depth: Int(tree.depth), map)
    }

    private func keys(
        after key: UnsafeRawBufferPointer, under number: UInt64, depth: Int, _ map: UnsafeRawBufferPointer
    ) throws(LMDBFailure) -> [UnsafeRawBufferPointer] {
        let page = try self.page(Int(clamping: number), isLeaf: depth == 1, map)
        guard depth > 1 else {
            let (index, isEqual) = try page.position(of: key)
            var keys: [UnsafeRawBufferPointer] = []
            for index in (isEqual ? index + 1 : index)..<page.count { keys.append(try page.key(index).key) }
            return keys
        }
        // What is above may begin with the next child, and in a sound index does then.
        let child = try page.childIndex(for: key)
        for index in child..<min(child + 2, page.count) {
            let found = try keys(after: key, under: try page.child(index), depth: depth - 1, map)
            if !found.isEmpty { return found }
        }
        return []
    }

    private func find(
        _ key: UnsafeRawBufferPointer, in tree: TreeRecord, _ map: UnsafeRawBufferPointer
    ) throws(LMDBFailure) -> Place? {
        if tree.root == TreeRecord.noRoot { return nil }
        guard tree.depth >= 1, tree.depth <= Self.maximumDepth else { throw Self.damage }
        var number = tree.root
        for _ in 1..<tree.depth {
            let page = try self.page(Int(clamping: number), isLeaf: false, map)
            number = try page.child(try page.childIndex(for: key))
        }
        let page = try self.page(Int(clamping: number), isLeaf: true, map)
        let (index, isEqual) = try page.position(of: key)
        return isEqual ? Place(page: Int(clamping: number), index: index) : nil
    }

    private func page(_ number: Int, isLeaf: Bool, _ map: UnsafeRawBufferPointer) throws(LMDBFailure) -> Page {
        let size = StoreLayout.pageBytes
        guard number >= 2, number < map.count / size else { throw Self.damage }
        let bytes = PageBytes(bytes: .init(rebasing: map[number * size..<(number + 1) * size]))
        let lower = bytes.u16(12)
        let upper = bytes.u16(14)
        guard bytes.u64(0) == UInt64(number), bytes.u16(10) == (isLeaf ? Self.leafFlag : Self.branchFlag),
            lower >= Self.pageHeader + (isLeaf ? 2 : 4), lower <= upper, upper <= size
        else { throw Self.damage }
        return Page(bytes: bytes, count: (lower - Self.pageHeader) / 2)
    }

    /// A branch or leaf whose bounds were checked; its nodes are checked as they are looked at.
    private struct Page {
        let bytes: PageBytes
        let count: Int

        func key(_ index: Int) throws(LMDBFailure) -> (offset: Int, key: UnsafeRawBufferPointer) {
            let offset = bytes.u16(pageHeader + 2 * index)
            let size = bytes.u16(offset + 6)
            guard offset >= pageHeader, offset <= StoreLayout.pageBytes - nodeHeader - size else { throw damage }
            return (offset, bytes.slice(offset + nodeHeader, size))
        }

        /// Negative if `key` is below the key of node `index`, positive if it is above.
        func compare(_ key: UnsafeRawBufferPointer, _ index: Int) throws(LMDBFailure) -> Int {
            let other = try self.key(index).key
            guard let left = key.baseAddress, let right = other.baseAddress else { return key.count - other.count }
            let order = Int(memcmp(left, right, min(key.count, other.count)))
            return order != 0 ? order : key.count - other.count
        }

        /// The first node that is not below `key`.
        func position(of key: UnsafeRawBufferPointer, from first: Int = 0) throws(LMDBFailure) -> (
            index: Int, isEqual: Bool
        ) {
            var low = first
            var high = count
            while low < high {
                let middle = (low + high) / 2
                let order = try compare(key, middle)
                if order == 0 { return (middle, true) }
                if order < 0 { high = middle } else { low = middle + 1 }
            }
            return (low, false)
        }

        /// Under which child of a branch `key` would be; the first child has no key of its own.
        func childIndex(for key: UnsafeRawBufferPointer) throws(LMDBFailure) -> Int {
            let (index, isEqual) = try position(of: key, from: 1)
            return isEqual ? index : index - 1
        }

        func child(_ index: Int) throws(LMDBFailure) -> UInt64 {
            let offset = try key(index).offset
            return UInt64(bytes.u32(offset)) | UInt64(bytes.u16(offset + 4)) << 32
        }

        private var pageHeader: Int { IndexReader.pageHeader }
        private var nodeHeader: Int { IndexReader.nodeHeader }
        private var damage: LMDBFailure { IndexReader.damage }
    }
}
