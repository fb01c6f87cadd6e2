/// LMDB's two meta pages: checked, and the one that LMDB will use.
struct MetaPage {
    private static let magic = 0xBEEF_C0DE
    private static let dataVersion = 1
    /// Versions that a later LMDB may write; any other number is damage.
    private static let newerVersions = 2...255
    private static let metaFlag = 0x08
    /// The free list's record carries the environment's persistent flags: only MDB_INTEGERKEY in ours.
    private static let integerKey = 0x08

    let free: TreeRecord
    let main: TreeRecord
    let mapBytes: UInt64
    let lastPage: UInt64
    let transaction: UInt64

    init(_ page: PageBytes, number: UInt64) throws(IndexDamage) {
        free = TreeRecord(page, at: 40)
        main = TreeRecord(page, at: 88)
        mapBytes = page.u64(32)
        lastPage = page.u64(136)
        transaction = page.u64(144)
        guard page.u64(0) == number, page.u16(10) == Self.metaFlag, page.u32(16) == Self.magic else {
            throw IndexDamage("meta page \(number) is not one")
        }
        let version = page.u32(20)
        guard !Self.newerVersions.contains(version) else {
            throw IndexDamage("LMDB's format has version \(version)", isNewer: true)
        }
        guard version == Self.dataVersion, free.pad == StoreLayout.pageBytes, free.flags == Self.integerKey,
            main.flags == 0
        else { throw IndexDamage("meta page \(number) is not one") }
    }

    /// The newer of the two. LMDB takes the newer one at open and later the one that the parity of its transaction
    /// names.
    static func newest(_ file: PageFile, mapBytes: UInt64) throws(IndexDamage) -> MetaPage {
        let first = try readUnlessNewer(file, 0)
        let second = try readUnlessNewer(file, 1)
        guard let first, let second else {
            // A newer version writes both: only one of them newer is damage.
            if first == nil, second == nil { _ = try read(file, 0) }
            throw IndexDamage("the meta pages contradict each other")
        }
        let newest = first.transaction < second.transaction ? second : first
        guard newest.transaction & 1 == (first.transaction < second.transaction ? 1 : 0) else {
            throw IndexDamage("the meta pages contradict each other")
        }
        let page = UInt64(StoreLayout.pageBytes)
        guard newest.lastPage >= 1, newest.lastPage < mapBytes / page else {
            throw IndexDamage("the store is larger than its capacity, or damaged")
        }
        guard newest.mapBytes >= (newest.lastPage + 1) * page, newest.mapBytes <= StoreBudget.maximumCapacity else {
            throw IndexDamage("the size of the map is impossible")
        }
        return newest
    }

    private static func readUnlessNewer(_ file: PageFile, _ number: UInt64) throws(IndexDamage) -> MetaPage? {
        do { return try read(file, number) } catch {
            if error.isNewer { return nil }
            throw error
        }
    }

    private static func read(_ file: PageFile, _ number: UInt64) throws(IndexDamage) -> MetaPage {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: StoreLayout.pageBytes, alignment: 8)
        defer { buffer.deallocate() }
        try file.read(number, into: buffer)
        return try MetaPage(PageBytes(bytes: UnsafeRawBufferPointer(buffer)), number: number)
    }
}
