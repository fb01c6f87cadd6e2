internal import CLMDB
internal import CacheFiles

/// One open LMDB environment: the map, the tables, and the pool of read transactions.
///
/// `@unchecked Sendable`: LMDB environments and table handles may be used by all threads; with `MDB_NOTLS` a read
/// transaction may move between threads as long as one uses it at a time, which the pool sees to; write transactions
/// are scoped to one call on the writer's thread. The handles are set once, in the initializer.
final class Environment: @unchecked Sendable {
    let handle: OpaquePointer
    private(set) var tables: [MDB_dbi] = []
    /// Where page 0 is mapped; tells the page number of any value in the map.
    private(set) var mapAddress = UInt(0)
    let mapBytes: UInt64
    let trap = AssertionTrap()
    private var fileWatch: FileWatch?
    private let mapGuard = MapGuard()
    /// Whether the reader table had an entry of this process's number before this environment made one: left by a
    /// process that is gone, if opening succeeded, since that takes the number's lock.
    private(set) var foundOwnNumber = false
    private var closed = false

    /// Opens `directory`, whose size on disk can never pass `mapBytes`.
    ///
    /// - Parameter creating: make the tables; the caller is the only user of the directory.
    init(directory: String, mapBytes: UInt64, creating: Bool) throws(LMDBFailure) {
        var created: OpaquePointer?
        try checked("mdb_env_create", mdb_env_create(&created))
        guard let handle = created else { throw LMDBFailure(code: MDB_INVALID, call: "mdb_env_create") }
        self.handle = handle
        self.mapBytes = mapBytes
        trap.set(handle)
        try checked("mdb_env_set_mapsize", mdb_env_set_mapsize(handle, Int(mapBytes)))
        try checked("mdb_env_set_maxdbs", mdb_env_set_maxdbs(handle, MDB_dbi(Table.allCases.count)))
        try checked("mdb_env_set_maxreaders", mdb_env_set_maxreaders(handle, UInt32(StoreBudget.readerSlots)))
        // Never MDB_NOSYNC: after a power cut the file would be damaged. Without the sync of the meta page the last
        // commit may be lost, which a cache can bear. No read-ahead: a store is larger than memory and chunks lie
        // anywhere.
        let flags = UInt32(MDB_NOTLS | MDB_NOMETASYNC | MDB_NORDAHEAD)
        try mapGuard.mapping { () throws(LMDBFailure) in
            try checked("mdb_env_open", mdb_env_open(handle, directory, flags, 0o600))
            try checkMap()
            var dead: Int32 = 0
            try checked("mdb_reader_check", mdb_reader_check(handle, &dead))
            fileWatch = try FileWatch(directory, data: try dataDescriptor())
            foundOwnNumber = try hasReader(CurrentProcess.number)
            try openTables(creating: creating)
            try locateMap()
            try checkMap()
            try watch.note(Int(truncatingIfNeeded: lastTransaction))
        }
        mapGuard.guards(data: .init(start: mapAddress, bytes: UInt(mapBytes)), lock: try watch.lockRegion())
    }

    /// Whether a process of this number is in the reader table, which LMDB tells in lines of text.
    private func hasReader(_ number: Int32) throws(LMDBFailure) -> Bool {
        var search = (number: number, isFound: false)
        let code = withUnsafeMutablePointer(to: &search) { search in
            mdb_reader_list(
                handle,
                { line, context in
                    guard let line, let search = context?.assumingMemoryBound(to: (number: Int32, isFound: Bool).self)
                    else { return 0 }
                    let first = String(cString: line).split(maxSplits: 1, whereSeparator: \.isWhitespace).first
                    if first.flatMap({ Int32($0) }) == search.pointee.number { search.pointee.isFound = true }
                    return 0
                }, search)
        }
        if code < 0 { throw LMDBFailure(code: code, call: "mdb_reader_list") }
        return search.isFound
    }

    /// The data file, which is LMDB's to close.
    func dataDescriptor() throws(LMDBFailure) -> Descriptor {
        var number: Int32 = -1
        try checked("mdb_env_get_fd", mdb_env_get_fd(handle, &number))
        return Descriptor(rawValue: number)
    }

    deinit { close() }

    /// Unmaps and closes the files. No transaction may be open any more.
    func close() {
        guard !closed else { return }
        closed = true
        trap.release(handle)
        mapGuard.mapping { mdb_env_close(handle) }
        fileWatch = nil
    }

    /// What watches the files; there from the moment the environment is open.
    var watch: FileWatch {
        get throws(LMDBFailure) {
            guard let fileWatch else { throw LMDBFailure(code: MDB_INVALID, call: "the environment is closed") }
            return fileWatch
        }
    }

    /// To be called after anything was read in the map, and before it is believed.
    /// - Throws: if some of it may have been zeros instead, because the kernel could not give a page. The environment
    ///   is of no use then.
    @inline(__always)
    func checkMap() throws(LMDBFailure) {
        if mapGuard.isBroken { throw .unreadableMap }
    }

    /// The map, as far as the file reaches now.
    func readableMap() throws(LMDBFailure) -> UnsafeRawBufferPointer {
        try checkMap()
        let length = min(try watch.check(), Int(clamping: mapBytes))
        return UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: mapAddress), count: length)
    }

    /// The last commit, by the meta pages.
    var lastTransaction: UInt64 {
        var info = MDB_envinfo()
        mdb_env_info(handle, &info)
        return UInt64(truncatingIfNeeded: info.me_last_txnid)
    }

    private func openTables(creating: Bool) throws(LMDBFailure) {
        var transaction: OpaquePointer?
        let flags = creating ? 0 : UInt32(MDB_RDONLY)
        try checked("mdb_txn_begin", mdb_txn_begin(handle, nil, flags, &transaction))
        do throws(LMDBFailure) {
            try openTables(transaction, creating: creating)
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        try checked("mdb_txn_commit", mdb_txn_commit(transaction))
    }

    private func openTables(_ transaction: OpaquePointer?, creating: Bool) throws(LMDBFailure) {
        for table in Table.allCases {
            // LMDB would follow zeros to where it gives up for good.
            try checkMap()
            var index = MDB_dbi(0)
            let code = table.name.withUTF8Buffer { name in
                name.withMemoryRebound(to: CChar.self) { name in
                    mdb_dbi_open(transaction, name.baseAddress, creating ? UInt32(MDB_CREATE) : 0, &index)
                }
            }
            try checked("mdb_dbi_open", code)
            tables.append(index)
        }
        try checkMap()
    }

    /// Learns where the map is from the record of a table: the header of its page holds the page's number.
    private func locateMap() throws(LMDBFailure) {
        var transaction: OpaquePointer?
        try checked("mdb_txn_begin", mdb_txn_begin(handle, nil, UInt32(MDB_RDONLY), &transaction))
        defer { mdb_txn_abort(transaction) }
        var tablesOfTables = MDB_dbi(0)
        try checked("mdb_dbi_open", mdb_dbi_open(transaction, nil, 0, &tablesOfTables))
        var key = MDB_val(Table.chunks.key)
        var value = MDB_val()
        try checked("mdb_get", mdb_get(transaction, tablesOfTables, &key, &value))
        guard let start = value.bytes.baseAddress else { throw IndexReader.damage }
        let page = UInt(bitPattern: start) & ~UInt(StoreLayout.pageBytes - 1)
        guard let header = UnsafeRawPointer(bitPattern: page) else { throw IndexReader.damage }
        mapAddress = page &- header.loadUnaligned(as: UInt.self) &* UInt(StoreLayout.pageBytes)
    }

    /// Frees the reader slots of processes that were killed.
    func clearDeadReaders() {
        var dead: Int32 = 0
        _ = mdb_reader_check(handle, &dead)
    }
}
