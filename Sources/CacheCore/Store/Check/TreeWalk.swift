internal import Glibc

/// Checks one B+tree of LMDB 0.9, page by page, in the order of its keys: everything that LMDB takes on trust when it
/// reads or changes it.
struct TreeWalk {
    private static let branchFlag = 0x01
    private static let leafFlag = 0x02
    private static let nodeHeader = 8
    private static let pageHeader = 16
    private static let maximumDepth = 16
    private static let maximumKey = 511

    private let tree: TreeRecord
    private let name: StaticString
    private let integerKeys: Bool
    private var branchPages = UInt64(0)
    private var leafPages = UInt64(0)
    private var overflowPages = UInt64(0)
    private var entries = UInt64(0)
    /// Keys from here on must be greater, or equal if it came from a branch.
    private var floor: [UInt8] = []
    private var floorIsInclusive = true

    private init(_ tree: TreeRecord, _ name: StaticString, integerKeys: Bool) {
        self.tree = tree
        self.name = name
        self.integerKeys = integerKeys
    }

    /// Walks `tree`, which is called `name` in errors.
    ///
    /// - Parameters:
    ///   - integerKeys: the keys are numbers in native byte order, as those of the free list, instead of bytes.
    ///   - pages: the file, and the pages that the walks before this one have met; those of this tree are added.
    ///   - visit: checks what only the owner of the tree can: the meaning of a key and its value.
    static func run(
        _ tree: TreeRecord, _ name: StaticString, integerKeys: Bool = false, in pages: inout IndexPages,
        _ visit: (IndexEntry) throws(IndexDamage) -> Void
    ) throws(IndexDamage) {
        var walk = TreeWalk(tree, name, integerKeys: integerKeys)
        try walk.run(&pages, visit)
    }

    private mutating func run(
        _ pages: inout IndexPages, _ visit: (IndexEntry) throws(IndexDamage) -> Void
    ) throws(IndexDamage) {
        if tree.root == TreeRecord.noRoot {
            try require(tree.depth == 0, "an empty tree has a depth")
        } else {
            try require(tree.depth >= 1 && tree.depth <= Self.maximumDepth, "impossible depth")
            try page(tree.root, level: 1, &pages, visit)
        }
        try require(
            branchPages == tree.branchPages && leafPages == tree.leafPages && overflowPages == tree.overflowPages
                && entries == tree.entries, "the totals are not those of the pages")
    }

    private func require(_ condition: Bool, _ reason: StaticString) throws(IndexDamage) {
        if !condition { throw IndexDamage("\(name): \(reason)") }
    }

    private mutating func page(
        _ number: UInt64, level: Int, _ pages: inout IndexPages,
        _ visit: (IndexEntry) throws(IndexDamage) -> Void
    ) throws(IndexDamage) {
        try require(pages.use(number), "a page is out of range or used twice")
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: StoreLayout.pageBytes, alignment: 8)
        defer { buffer.deallocate() }
        try pages.file.read(number, into: buffer)
        let page = PageBytes(bytes: UnsafeRawBufferPointer(buffer))
        let isLeaf = level == tree.depth
        try require(page.u64(0) == number, "a page is not at its place")
        try require(page.u16(10) == (isLeaf ? Self.leafFlag : Self.branchFlag), "a page is of the wrong kind")
        let lower = page.u16(12)
        let upper = page.u16(14)
        try require(
            lower >= Self.pageHeader && lower % 2 == 0 && lower <= upper && upper <= StoreLayout.pageBytes
                && upper % 2 == 0, "the bounds of a page are impossible")
        let count = (lower - Self.pageHeader) / 2
        // LMDB asserts two children of a branch, except in the free list.
        try require(count >= (isLeaf || integerKeys ? 1 : 2), "a page has too few entries")
        try checkTiling(page, count, upper, isLeaf)
        if isLeaf {
            leafPages += 1
            for index in 0..<count { try entry(page, index, &pages, visit) }
        } else {
            branchPages += 1
            if level + 1 == tree.depth {
                for index in 0..<count { pages.expect(child(page, index)) }
            }
            for index in 0..<count {
                if index > 0 { try separator(page, index) }
                try self.page(child(page, index), level: level + 1, &pages, visit)
            }
        }
    }

    /// The nodes of a page must fill the room from `upper` to its end, one after the other: LMDB moves them by their
    /// sizes.
    private func checkTiling(_ page: PageBytes, _ count: Int, _ upper: Int, _ isLeaf: Bool) throws(IndexDamage) {
        try withUnsafeTemporaryAllocation(of: UInt16.self, capacity: StoreLayout.pageBytes / 2) {
            (sizes) throws(IndexDamage) in
            sizes.initialize(repeating: 0)
            for index in 0..<count {
                let offset = node(page, index)
                try require(
                    offset >= upper && offset <= StoreLayout.pageBytes - Self.nodeHeader && offset % 2 == 0,
                    "a node lies outside")
                let size = nodeBytes(page, offset, isLeaf)
                try require(size <= StoreLayout.pageBytes - offset, "a node is too long")
                try require(sizes[offset / 2] == 0, "two nodes lie at one place")
                sizes[offset / 2] = UInt16(truncatingIfNeeded: size)
            }
            var offset = upper
            var found = 0
            while offset < StoreLayout.pageBytes {
                let size = Int(sizes[offset / 2])
                try require(size > 0, "nodes overlap or leave a gap")
                offset += size
                found += 1
            }
            try require(offset == StoreLayout.pageBytes && found == count, "nodes overlap or leave a gap")
        }
    }

    private func node(_ page: PageBytes, _ index: Int) -> Int { page.u16(Self.pageHeader + 2 * index) }

    private func nodeBytes(_ page: PageBytes, _ offset: Int, _ isLeaf: Bool) -> Int {
        let key = page.u16(offset + 6)
        guard isLeaf else { return (Self.nodeHeader + key + 1) & ~1 }
        let value = page.u16(offset + 4) & IndexEntry.bigData != 0 ? 8 : page.u32(offset)
        return (Self.nodeHeader + key + value + 1) & ~1
    }

    private func child(_ page: PageBytes, _ index: Int) -> UInt64 {
        let offset = node(page, index)
        return UInt64(page.u32(offset)) | UInt64(page.u16(offset + 4)) << 32
    }

    private mutating func separator(_ page: PageBytes, _ index: Int) throws(IndexDamage) {
        let offset = node(page, index)
        let key = page.slice(offset + Self.nodeHeader, page.u16(offset + 6))
        try require(isAboveFloor(key), "keys are not in order")
        setFloor(key, inclusive: true)
    }

    private mutating func entry(
        _ page: PageBytes, _ index: Int, _ pages: inout IndexPages,
        _ visit: (IndexEntry) throws(IndexDamage) -> Void
    ) throws(IndexDamage) {
        let offset = node(page, index)
        let keyBytes = page.u16(offset + 6)
        let key = page.slice(offset + Self.nodeHeader, keyBytes)
        try require(isAboveFloor(key), "keys are not in order")
        setFloor(key, inclusive: false)
        let flags = page.u16(offset + 4)
        let size = page.u32(offset)
        let isBig = flags & IndexEntry.bigData != 0
        let start = offset + Self.nodeHeader + keyBytes
        let entry = IndexEntry(
            key: key, flags: flags, size: size, value: page.slice(start, isBig ? 0 : size),
            page: isBig ? page.u64(start) : 0)
        if isBig {
            try require(
                pages.use(entry.page, count: entry.pages), "a value's pages are out of range or used twice")
            overflowPages += entry.pages
        }
        entries += 1
        try visit(entry)
    }

    private mutating func setFloor(_ key: UnsafeRawBufferPointer, inclusive: Bool) {
        floor.removeAll(keepingCapacity: true)
        floor.append(contentsOf: key)
        floorIsInclusive = inclusive
    }

    private func isAboveFloor(_ key: UnsafeRawBufferPointer) -> Bool {
        guard key.count >= 1, key.count <= Self.maximumKey else { return false }
        if integerKeys {
            guard key.count == 8 else { return false }
            let value = key.loadUnaligned(as: UInt64.self)
            let least = floor.withUnsafeBytes { $0.count == 8 ? $0.loadUnaligned(as: UInt64.self) : 0 }
            return floorIsInclusive ? value >= least : value > least
        }
        let common = min(key.count, floor.count)
        let order = floor.withUnsafeBytes { floor in
            guard common > 0, let left = key.baseAddress, let right = floor.baseAddress else { return Int32(0) }
            return memcmp(left, right, common)
        }
        if order != 0 { return order > 0 }
        return floorIsInclusive ? key.count >= floor.count : key.count > floor.count
    }
}
