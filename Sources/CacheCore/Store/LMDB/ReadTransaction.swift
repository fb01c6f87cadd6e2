internal import CLMDB

/// A read transaction, kept in the pool between reads: renewing one costs a fraction of beginning one.
///
/// LMDB holds the snapshot; what is in it is read by ``IndexReader``, which no damage can lead astray. Used by one
/// caller at a time; what it returns points into LMDB's map and lives until `end`.
final class ReadTransaction {
    /// How often a commit may overwrite a snapshot's meta page while it is read; more often is a sign of damage.
    private static let tries = 64

    private let environment: Environment
    private var handle: OpaquePointer?
    private var index: IndexReader?
    private var map = UnsafeRawBufferPointer(start: nil, count: 0)
    private var place: IndexReader.Place?

    /// Begins the transaction.
    init(_ environment: Environment) throws(LMDBFailure) {
        map = try environment.readableMap()
        var begun: OpaquePointer?
        let code = mdb_txn_begin(environment.handle, nil, UInt32(MDB_RDONLY), &begun)
        guard code == MDB_SUCCESS, let begun else { throw LMDBFailure(code: code, call: "mdb_txn_begin") }
        self.environment = environment
        handle = begun
        do {
            try look()
        } catch {
            close()
            throw error
        }
    }

    deinit { close() }

    /// Frees the transaction and its reader slot; it must not be used any more. To be called before the environment is
    /// closed.
    func close() {
        if let handle { mdb_txn_abort(handle) }
        handle = nil
    }

    /// Begins it again on the newest snapshot, after `end`.
    func renew() throws(LMDBFailure) {
        // Checks the files before LMDB reads them.
        map = try environment.readableMap()
        try checked("mdb_txn_renew", mdb_txn_renew(handle))
        try look()
    }

    /// Reads the roots of the snapshot, unless it is the same as at the last call.
    private func look() throws(LMDBFailure) {
        do throws(LMDBFailure) {
            try lookAtRoots()
        } catch {
            // It may be the zeros of a page that could not be read.
            try environment.checkMap()
            throw error
        }
    }

    /// See ``Environment/checkMap()``.
    func checkMap() throws(LMDBFailure) { try environment.checkMap() }

    /// Releases the snapshot; LMDB may reuse its pages from now on.
    func end() {
        mdb_txn_reset(handle)
        place = nil
    }

    /// The second commit after a snapshot overwrites its meta page. What was read is certain if the newest meta page is
    /// still the snapshot's, or if LMDB still gives out the same snapshot afterwards: a commit writes its meta page,
    /// then (on a busy machine, long after) gives out its snapshot, and only then the next commit begins.
    private func lookAtRoots() throws(LMDBFailure) {
        var read: (transaction: UInt64, index: Result<IndexReader, LMDBFailure>)?
        for _ in 0..<Self.tries {
            let transaction = UInt64(truncatingIfNeeded: mdb_txn_id(handle))
            if index?.transaction == transaction { return }
            // The file may have grown since the last try.
            map = try environment.readableMap()
            if let read, read.transaction == transaction {
                index = try read.index.get()
                return
            }
            let found: Result<IndexReader, LMDBFailure>
            do throws(LMDBFailure) {
                found = .success(try IndexReader(map, transaction: transaction))
            } catch {
                found = .failure(error)
            }
            if environment.lastTransaction == transaction {
                index = try found.get()
                return
            }
            read = (transaction, found)
            mdb_txn_reset(handle)
            try checked("mdb_txn_renew", mdb_txn_renew(handle))
        }
        throw IndexReader.damage
    }

    func get(_ table: Table, _ key: UnsafeRawBufferPointer) throws(LMDBFailure) -> UnsafeRawBufferPointer? {
        guard let index else { return nil }
        let value = try index.find(key, in: table, map).map { (place) throws(LMDBFailure) in
            try index.value(at: place, map)
        }
        try environment.checkMap()
        return value
    }

    /// The keys above `key` on the first leaf of the table that has one, in order; none at its end.
    func keys(_ table: Table, after key: UnsafeRawBufferPointer) throws(LMDBFailure) -> [UnsafeRawBufferPointer] {
        guard let index else { return [] }
        let keys = try index.keys(after: key, in: table, map)
        try environment.checkMap()
        return keys
    }

    /// The extent with this key, or, if `following`, the one after the last that was returned, whose key must be this.
    func extent(_ number: UInt64, following: Bool) throws(LMDBFailure) -> UnsafeRawBufferPointer? {
        guard let index else { return nil }
        return try NumberKey(number).withBytes { (key) throws(LMDBFailure) -> UnsafeRawBufferPointer? in
            var found: IndexReader.Place?
            if following, let place { found = try index.next(place, key, map) }
            // The next one may be on another page.
            if found == nil { found = try index.find(key, in: .extents, map) }
            place = found
            guard let found else { return nil }
            return try index.value(at: found, map)
        }
    }
}
