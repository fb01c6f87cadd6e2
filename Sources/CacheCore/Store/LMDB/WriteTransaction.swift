internal import CLMDB
internal import CacheChunks
internal import CacheCrypto

/// A write transaction: committed, or aborted when it goes out of scope. For the writer's thread only.
///
/// Values that it returns are valid until its next change.
struct WriteTransaction: ~Copyable {
    private let environment: Environment
    private var handle: OpaquePointer?

    /// Waits for the write lock, which other processes may hold for as long as a commit takes.
    init(_ environment: Environment) throws(LMDBFailure) {
        self.environment = environment
        _ = try environment.readableMap()
        try checked("mdb_txn_begin", mdb_txn_begin(environment.handle, nil, 0, &handle))
        environment.trap.arm(handle)
    }

    deinit {
        guard let handle else { return }
        environment.trap.arm(nil)
        mdb_txn_abort(handle)
    }

    /// The number that the transaction will have once it is committed.
    var number: Int { mdb_txn_id(handle) }

    consuming func commit() throws(LMDBFailure) {
        try environment.checkMap()
        // LMDB frees the handle even if the commit fails.
        let committing = handle
        handle = nil
        let code = mdb_txn_commit(committing)
        environment.trap.arm(nil)
        try checked("mdb_txn_commit", code)
        try environment.checkMap()
    }

    func get(_ table: Table, _ key: UnsafeRawBufferPointer) throws(LMDBFailure) -> UnsafeRawBufferPointer? {
        var key = MDB_val(key)
        var value = MDB_val()
        let code = mdb_get(handle, environment.tables[table.rawValue], &key, &value)
        try environment.checkMap()
        if code == MDB_NOTFOUND { return nil }
        try checked("mdb_get", code)
        return value.bytes
    }

    /// Room for a value of `count` bytes under `key`, to be filled at once.
    /// - Parameter appending: the key is above all others; packs pages full.
    func reserve(
        _ table: Table, _ key: UnsafeRawBufferPointer, _ count: Int, appending: Bool = false
    ) throws(LMDBFailure) -> UnsafeMutableRawBufferPointer {
        var key = MDB_val(key)
        var value = MDB_val(mv_size: count, mv_data: nil)
        let flags = UInt32(MDB_RESERVE | (appending ? MDB_APPEND : 0))
        try checked("mdb_put", mdb_put(handle, environment.tables[table.rawValue], &key, &value, flags))
        try environment.checkMap()
        return UnsafeMutableRawBufferPointer(start: value.mv_data, count: count)
    }

    /// Deletes what is under `key`; whether there was anything.
    @discardableResult
    func delete(_ table: Table, _ key: UnsafeRawBufferPointer) throws(LMDBFailure) -> Bool {
        var key = MDB_val(key)
        let code = mdb_del(handle, environment.tables[table.rawValue], &key, nil)
        try environment.checkMap()
        if code == MDB_NOTFOUND { return false }
        try checked("mdb_del", code)
        return true
    }

    /// The oldest entry of a queue.
    func oldest(_ queue: StoreQueue) throws(LMDBFailure) -> (sequence: UInt64, id: ChunkID)? {
        var cursor: OpaquePointer?
        try checked("mdb_cursor_open", mdb_cursor_open(handle, environment.tables[Table(queue).rawValue], &cursor))
        defer { mdb_cursor_close(cursor) }
        var key = MDB_val()
        var value = MDB_val()
        let code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)
        try environment.checkMap()
        if code == MDB_NOTFOUND { return nil }
        try checked("mdb_cursor_get", code)
        guard let digest = SHA256Digest(bytes: value.bytes) else {
            throw LMDBFailure(code: MDB_CORRUPTED, call: "queue entry")
        }
        return (NumberKey.number(key.bytes), ChunkID(digest))
    }

    /// Deletes one extent. LMDB trusts the header before it, which the check at open does not read because that would
    /// touch every chunk: so the header is set right first if the disk has damaged it.
    func deleteExtent(_ number: UInt64, layout: StoreLayout) throws(LMDBFailure) {
        var cursor: OpaquePointer?
        try checked("mdb_cursor_open", mdb_cursor_open(handle, environment.tables[Table.extents.rawValue], &cursor))
        defer { mdb_cursor_close(cursor) }
        try NumberKey(number).withBytes { (bytes) throws(LMDBFailure) in
            var key = MDB_val(bytes)
            var value = MDB_val()
            let code = mdb_cursor_get(cursor, &key, &value, MDB_SET)
            try environment.checkMap()
            if code == MDB_NOTFOUND { return }
            try checked("mdb_cursor_get", code)
            try OverflowHeader.repair(before: value.bytes, layout: layout, environment: environment)
            try checked("mdb_cursor_del", mdb_cursor_del(cursor, 0))
        }
    }
}
