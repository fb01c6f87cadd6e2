internal import CacheCrypto
internal import CacheFiles

/// Checks the index of a store before LMDB sees it. LMDB trusts its pages and crashes, or worse, on damaged ones.
///
/// The walk reads with `pread` into memory of its own, loads nothing outside a page, follows each page once, and
/// computes only with numbers that were checked: no content can crash it, so it needs no process of its own. It reads
/// the index only, about 1/2,000 of the file. The extents are checked by their chunks' names when they are read, the
/// headers before them when they are deleted (``OverflowHeader``), and pages that are free may hold anything.
///
/// The value holds what the entries of the tables add up to. The pages (``IndexPages``) belong to
/// ``run(_:layout:mapBytes:)``, which lends them to one walk after the other.
struct IndexCheck {
    private let layout: StoreLayout
    private let meta: MetaPage
    private var state: StoreState?
    private var found: StoreState
    // Extents and queue places that the chunk records call for, and those that are in the tables, as sums of hashes:
    // equal sums mean equal sets, in constant memory.
    private var expectedExtents = EntrySum()
    private var extents = EntrySum()
    private var expectedPlaces = EntrySum()
    private var places = EntrySum()

    /// Throws the first thing that is wrong with the data file behind `descriptor`; what the store holds if nothing is.
    @discardableResult
    static func run(_ descriptor: Descriptor, layout: StoreLayout, mapBytes: UInt64) throws(IndexDamage) -> StoreState {
        let file = PageFile(descriptor: descriptor)
        let length = try file.length()
        // A process made the file and died before it wrote to it.
        if length == 0 { return StoreState(layout: layout) }
        guard length <= mapBytes else { throw IndexDamage("the store is larger than its capacity") }
        let meta = try MetaPage.newest(file, mapBytes: mapBytes)
        var check = IndexCheck(layout, meta)
        var pages = meta.pages(of: file, length: length)
        try check.walkTables(&pages)
        return check.found
    }

    /// Throws if the roots of the index, or the tables that they lead to, are not there. Reads four pages or so.
    static func glance(_ descriptor: Descriptor, mapBytes: UInt64) throws(IndexDamage) {
        let file = PageFile(descriptor: descriptor)
        let length = try file.length()
        let meta = try MetaPage.newest(file, mapBytes: mapBytes)
        var pages = meta.pages(of: file, length: length)
        var tables = 0
        try TreeWalk.run(meta.main, "main", in: &pages) { (_) throws(IndexDamage) in tables += 1 }
        guard tables == Table.allCases.count else { throw IndexDamage("a table is missing") }
    }

    private init(_ layout: StoreLayout, _ meta: MetaPage) {
        self.layout = layout
        self.meta = meta
        found = StoreState(layout: layout)
    }

    private mutating func walkTables(_ pages: inout IndexPages) throws(IndexDamage) {
        guard pages.use(0, count: 2) else { throw IndexDamage("the file is too short") }
        var tables: [TreeRecord?] = Array(repeating: nil, count: Table.allCases.count)
        var hasUnknown = false
        try TreeWalk.run(meta.main, "main", in: &pages) { (entry) throws(IndexDamage) in
            guard let table = Table.allCases.first(where: { $0.matches(entry.key) }), entry.flags == IndexEntry.subData,
                entry.size == TreeRecord.byteCount
            else { return hasUnknown = true }
            tables[table.rawValue] = TreeRecord(PageBytes(bytes: entry.value), at: 0)
        }
        // A process made the file and died before it made the tables.
        if meta.main.entries == 0 { return try walkFreeList(&pages) }
        // This one first: it has the format's version, which tells an unknown table of a newer version from damage.
        if let tree = tables[Table.meta.rawValue], tree.flags == 0 { try walkTable(.meta, tree, &pages) }
        if hasUnknown { throw IndexDamage("an unknown table") }
        for table in Table.allCases where table != .meta {
            guard let tree = tables[table.rawValue], tree.flags == 0 else { throw IndexDamage("a table is missing") }
            try walkTable(table, tree, &pages)
        }
        if tables[Table.meta.rawValue] == nil { throw IndexDamage("a table is missing") }
        try walkFreeList(&pages)
        try compare()
    }

    private mutating func walkTable(
        _ table: Table, _ tree: TreeRecord, _ pages: inout IndexPages
    ) throws(IndexDamage) {
        try TreeWalk.run(tree, table.name, in: &pages) { (entry) throws(IndexDamage) in
            switch table {
            case .chunks: try chunk(entry)
            case .extents: try extent(entry)
            case .small: try place(entry, .small)
            case .main: try place(entry, .main)
            case .meta: try storeState(entry)
            }
        }
    }

    private mutating func chunk(_ entry: IndexEntry) throws(IndexDamage) {
        guard entry.key.count == SHA256Digest.byteCount, entry.flags == 0,
            let record = ChunkRecord(entry.value, layout: layout), record.frequency <= S3FIFO.maximumFrequency,
            let digest = SHA256Digest(bytes: entry.key)
        else { throw IndexDamage("a chunk's record is impossible") }
        let length = Int(record.sealedLength)
        for index in 0..<layout.extentCount(length) {
            expectedExtents.add(ExtentKey.number(base: record.base, index: index))
        }
        expectedPlaces.add(record.sequence << 1 | UInt64(record.queue.rawValue), digest)
        found.add(layout.diskBytes(length), to: record.queue)
        found.sealedBytes &+= UInt64(length)
        found.nextNumber = max(found.nextNumber, record.base, record.sequence)
    }

    private mutating func extent(_ entry: IndexEntry) throws(IndexDamage) {
        guard entry.key.count == 8, entry.flags == IndexEntry.bigData, entry.size == layout.extentBytes else {
            throw IndexDamage("an extent is impossible")
        }
        extents.add(NumberKey.number(entry.key))
    }

    private mutating func place(_ entry: IndexEntry, _ queue: StoreQueue) throws(IndexDamage) {
        guard entry.key.count == 8, entry.flags == 0, let digest = SHA256Digest(bytes: entry.value) else {
            throw IndexDamage("a place in a queue is impossible")
        }
        places.add(NumberKey.number(entry.key) << 1 | UInt64(queue.rawValue), digest)
    }

    private mutating func storeState(_ entry: IndexEntry) throws(IndexDamage) {
        guard entry.flags == 0, entry.key.elementsEqual(StoreState.key) else {
            throw IndexDamage("an unknown record")
        }
        if let version = StoreState.newerVersion(entry.value) {
            throw IndexDamage("its format has version \(version)", isNewer: true)
        }
        guard let state = StoreState(entry.value), state.extentPages == layout.extentPages else {
            throw IndexDamage("the store was made by another version")
        }
        self.state = state
    }

    /// The free list: LMDB gives these pages out without looking at them.
    private func walkFreeList(_ pages: inout IndexPages) throws(IndexDamage) {
        let file = pages.file
        let transaction = meta.transaction
        let mostBytes = 8 * (meta.lastPage + 2)
        // Free pages may lie beyond the end of the file, so they are kept apart from those in use.
        var free = PageSet(pages: meta.lastPage + 1)
        try TreeWalk.run(meta.free, "free list", integerKeys: true, in: &pages) { (entry) throws(IndexDamage) in
            let key = entry.key.loadUnaligned(as: UInt64.self)
            guard key >= 1, key <= transaction, entry.flags & ~IndexEntry.bigData == 0, entry.size >= 8,
                entry.size % 8 == 0, UInt64(entry.size) <= mostBytes
            else { throw IndexDamage("a free list is impossible") }
            if entry.flags == 0 { return try Self.freePages(entry.value, &free) }
            let count = Int(truncatingIfNeeded: entry.pages) * StoreLayout.pageBytes
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 8)
            defer { buffer.deallocate() }
            for page in 0..<Int(truncatingIfNeeded: entry.pages) {
                let start = page * StoreLayout.pageBytes
                try file.read(
                    entry.page + UInt64(page), into: .init(rebasing: buffer[start..<start + StoreLayout.pageBytes]))
            }
            let bytes = PageBytes(bytes: UnsafeRawBufferPointer(buffer))
            guard bytes.u64(0) == entry.page, bytes.u16(10) == 0x04, bytes.u32(12) == Int(entry.pages) else {
                throw IndexDamage("a free list's pages are damaged")
            }
            try Self.freePages(bytes.slice(StoreLayout.overflowHeaderBytes, entry.size), &free)
        }
        guard free.isDisjoint(with: pages.used) else { throw IndexDamage("a page is free and in use") }
    }

    private static func freePages(_ list: UnsafeRawBufferPointer, _ free: inout PageSet) throws(IndexDamage) {
        let list = PageBytes(bytes: list)
        let count = list.u64(0)
        guard count <= UInt64(list.bytes.count / 8 - 1) else { throw IndexDamage("a free list is too long") }
        var last = UInt64.max
        for index in 0..<Int(truncatingIfNeeded: count) {
            let page = list.u64(8 + 8 * index)
            guard page >= 2, page < last, free.add(page) else { throw IndexDamage("a free page is impossible") }
            last = page
        }
    }

    /// Each chunk has its extents and its place, nothing else has, and the totals are right.
    private func compare() throws(IndexDamage) {
        guard let state else {
            // A process made the tables and died before it wrote their first record.
            if found.chunks == 0, extents == EntrySum(), places == EntrySum() { return }
            throw IndexDamage("the store's state is missing")
        }
        guard extents == expectedExtents, places == expectedPlaces else {
            throw IndexDamage("the tables contradict each other")
        }
        guard state.smallChunks == found.smallChunks, state.smallBytes == found.smallBytes,
            state.mainChunks == found.mainChunks, state.mainBytes == found.mainBytes,
            state.sealedBytes == found.sealedBytes, state.nextNumber > found.nextNumber || found.chunks == 0,
            state.nextNumber >= 1, state.nextNumber < 1 << 54
        else { throw IndexDamage("the totals are not those of the chunks") }
    }
}

extension MetaPage {
    /// The pages that the index may use: every page in use must be inside the file; free ones need not be.
    fileprivate func pages(of file: PageFile, length: UInt64) -> IndexPages {
        IndexPages(file, count: min(lastPage + 1, length / UInt64(StoreLayout.pageBytes)))
    }
}

extension Table {
    fileprivate func matches(_ key: UnsafeRawBufferPointer) -> Bool {
        name.withUTF8Buffer { key.elementsEqual($0) }
    }
}

/// A sum over a set of entries that does not depend on their order.
private struct EntrySum: Equatable {
    private var count = UInt64(0)
    private var sum = UInt64(0)

    mutating func add(_ number: UInt64) {
        count &+= 1
        sum &+= Self.mix(number)
    }

    /// Adds a number with all of a chunk's name: a queue place that names another chunk must change the sum.
    mutating func add(_ number: UInt64, _ digest: SHA256Digest) {
        count &+= 1
        sum &+= digest.withUnsafeBytes { bytes in
            stride(from: 0, to: SHA256Digest.byteCount, by: 8).reduce(Self.mix(number)) { mixed, offset in
                Self.mix(mixed ^ bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
        }
    }

    /// The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    private static func mix(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
