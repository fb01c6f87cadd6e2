internal import CLMDB

/// A read transaction with its cursors, kept in the pool between reads: renewing one costs a fraction of beginning one.
///
/// Used by one caller at a time; what it returns points into LMDB's map and lives until `end`.
final class ReadTransaction {
    private let environment: Environment
    private var handle: OpaquePointer?
    private var extents: OpaquePointer?
    private var extentsStale = true

    /// Begins the transaction.
    init(_ environment: Environment) throws(LMDBFailure) {
        var begun: OpaquePointer?
        let code = mdb_txn_begin(environment.handle, nil, UInt32(MDB_RDONLY), &begun)
        guard code == MDB_SUCCESS, let begun else { throw LMDBFailure(code: code, call: "mdb_txn_begin") }
        self.environment = environment
        handle = begun
    }

    deinit { close() }

    /// Gives its reader slot back; it cannot be used again. Before the environment is closed.
    func close() {
        if let extents { mdb_cursor_close(extents) }
        if let handle { mdb_txn_abort(handle) }
        extents = nil
        handle = nil
    }

    /// Begins it again on the newest snapshot, after `end`.
    func renew() throws(LMDBFailure) {
        try checked("mdb_txn_renew", mdb_txn_renew(handle))
    }

    /// Lets go of the snapshot; LMDB may reuse its pages from now on.
    func end() {
        mdb_txn_reset(handle)
        extentsStale = true
    }

    func get(_ table: Table, _ key: UnsafeRawBufferPointer) throws(LMDBFailure) -> UnsafeRawBufferPointer? {
        var key = MDB_val(key)
        var value = MDB_val()
        let code = mdb_get(handle, environment.tables[table.rawValue], &key, &value)
        if code == MDB_NOTFOUND { return nil }
        try checked("mdb_get", code)
        return value.bytes
    }

    /// The extent with this key, or, if `following`, the one after the last that was returned, whose key must be this.
    func extent(_ number: UInt64, following: Bool) throws(LMDBFailure) -> UnsafeRawBufferPointer? {
        let cursor = try extentsCursor()
        return try NumberKey(number).withBytes { (bytes) throws(LMDBFailure) -> UnsafeRawBufferPointer? in
            var key = MDB_val(bytes)
            var value = MDB_val()
            let code = mdb_cursor_get(cursor, &key, &value, following ? MDB_NEXT : MDB_SET)
            if code == MDB_NOTFOUND { return nil }
            try checked("mdb_cursor_get", code)
            return !following || NumberKey.number(key.bytes) == number ? value.bytes : nil
        }
    }

    private func extentsCursor() throws(LMDBFailure) -> OpaquePointer? {
        if extents == nil {
            let table = environment.tables[Table.extents.rawValue]
            try checked("mdb_cursor_open", mdb_cursor_open(handle, table, &extents))
        } else if extentsStale {
            try checked("mdb_cursor_renew", mdb_cursor_renew(handle, extents))
        }
        extentsStale = false
        return extents
    }
}
