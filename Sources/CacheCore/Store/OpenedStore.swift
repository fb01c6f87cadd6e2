internal import CLMDB
internal import CacheBase
internal import CacheFiles
internal import Logging

/// The files of a store, locked, checked and open.
struct OpenedStore {
    let directory: StoreDirectory
    let environment: Environment
    let file: ExtentFile
    let budget: StoreBudget

    /// Locks the directory, checks the files and opens them. Blocks.
    /// - Parameter suspect: the files were found damaged in use, so they are checked even if other processes have them
    ///   open.
    init(
        _ path: String, _ options: ChunkStore.Options, suspect: Bool, _ counters: StoreCounters, _ logger: Logger
    ) throws {
        let wanted = try StoreBudget(capacity: options.capacity)
        let directory = try StoreDirectory(path)
        do {
            (environment, budget) = try directory.opening(unless: options.isGivenUp) { shared in
                let budget = try shared.map(StoreBudget.init(capacity:)) ?? wanted
                if budget != wanted {
                    logger.warning(
                        "chunk store is in use with another capacity, which holds until all have closed it",
                        metadata: ["directory": "\(path)", "capacity": "\(budget.capacity)"])
                }
                let opening = Opening(directory: directory, budget: budget, layout: options.layout)
                let environment =
                    try shared == nil
                    ? opening.asOnlyUser(counters, logger) : opening.besideOthers(suspect: suspect)
                return ((environment, budget), budget.capacity)
            }
            file = try ExtentFile(environment)
        } catch {
            directory.closing {}
            throw error
        }
        self.directory = directory
    }
}

/// The steps from a locked directory to an environment that may be used.
private struct Opening {
    let directory: StoreDirectory
    let budget: StoreBudget
    let layout: StoreLayout

    /// Opens files that other processes have open. Their first user has checked them, and LMDB keeps them right unless
    /// another program writes to them.
    func besideOthers(suspect: Bool) throws -> Environment {
        try glance()
        do {
            let environment = try environmentBesideOthers()
            if try isKnown(environment) {
                if suspect { try check(environment) }
                return environment
            }
            environment.close()
            throw CacheError(.unsupported, "chunk store \(directory.path) is in use by another version: end that first")
        } catch let failure as LMDBFailure where failure.isProcessNumberTaken {
            throw CacheError(
                .io,
                """
                chunk store \(directory.path) is in use by a process in another PID namespace that has the number of \
                this one (\(CurrentProcess.number)), which LMDB cannot bear: give each container \
                a directory of its own, or the PID namespace of the host
                """)
        } catch let failure as LMDBFailure {
            throw CacheError(.io, "open the chunk store \(directory.path)", cause: failure)
        }
    }

    /// Checks the roots of the index before LMDB follows them. A commit of another process in the middle looks like
    /// damage, so it tries again.
    private func glance() throws {
        let data = try OpenFile.open(directory.dataPath, .entry)
        for left in (0..<8).reversed() {
            do throws(IndexDamage) {
                return try IndexCheck.glance(data.descriptor, mapBytes: budget.mapBytes)
            } catch {
                if let failure = error.failure { throw CacheError.unreadableStore(directory.path, error, failure) }
                if left == 0 { throw damaged(error.reason) }
            }
        }
    }

    /// Checks the whole index with the write lock held, so that no process commits meanwhile.
    private func check(_ environment: Environment) throws {
        do {
            _ = try StoreTransaction(environment, layout: layout, isSuspect: true)
        } catch {
            environment.close()
            if error.isUnreadable { throw error }
            throw damaged("\(error)")
        }
    }

    private func damaged(_ reason: String) -> CacheError {
        CacheError(
            .corrupt,
            "chunk store \(directory.path) is damaged (\(reason)) and others have it open: it starts empty once they "
                + "end"
        )
    }

    /// Opens the environment, twice if a killed process has left an entry under our process number (PID) in LMDB's
    /// reader table.
    ///
    /// LMDB locks one byte of the lock file for each PID, and removes entries of PIDs whose byte is not locked. We lock
    /// our own, so the other processes would keep the old entry; closing an environment removes the entries of its PID.
    /// Two processes of one PID, in PID namespaces of their own, cannot both have the lock.
    private func environmentBesideOthers() throws(LMDBFailure) -> Environment {
        let environment = try Environment(directory: directory.path, mapBytes: budget.mapBytes, creating: false)
        guard environment.foundOwnNumber else { return environment }
        environment.close()
        return try Environment(directory: directory.path, mapBytes: budget.mapBytes, creating: false)
    }

    func asOnlyUser(_ counters: StoreCounters, _ logger: Logger) throws -> Environment {
        if let reason = try reasonToReset() {
            counters.resets.count()
            try directory.reset()
            logger.warning(
                "chunk store starts empty", metadata: ["directory": "\(directory.path)", "reason": "\(reason)"])
        }
        do {
            try directory.makeLockFile(bytes: StoreBudget.lockFileBytes)
            return try create()
        } catch {
            throw CacheError(.io, "open the chunk store \(directory.path)", cause: error)
        }
    }

    /// Why the files cannot be used as they are; `nil` if they can, or if there are none.
    private func reasonToReset() throws -> String? {
        let data: OpenFile
        do throws(Errno) {
            let descriptor = try Descriptor.workingDirectory.open(directory.dataPath, .entry)
            data = OpenFile(adopting: descriptor, name: directory.dataPath)
        } catch {
            if error == .noSuchFile { return directory.hasBeenUsed ? "data.mdb is gone" : nil }
            if error == .symbolicLink { return "data.mdb is not a file" }
            throw CacheError.system("open \(directory.dataPath)", error)
        }
        if directory.hasBeenUsed, isEmpty(data) { return "data.mdb is empty" }
        do {
            try IndexCheck.run(data.descriptor, layout: layout, mapBytes: budget.mapBytes)
            return nil
        } catch {
            if error.isNewer { throw CacheError.newerStore(directory.path, error) }
            // No reason to empty it: the disk may recover, and the chunks with it.
            if let failure = error.failure { throw CacheError.unreadableStore(directory.path, error, failure) }
            return error.reason
        }
    }

    private func isEmpty(_ data: OpenFile) -> Bool {
        do throws(Errno) { return try data.descriptor.seekToEnd() == 0 } catch { return false }
    }

    private func create() throws(LMDBFailure) -> Environment {
        let environment = try Environment(directory: directory.path, mapBytes: budget.mapBytes, creating: true)
        if try isKnown(environment) { return environment }
        try StoreTransaction.createState(environment, layout)
        try environment.watch.note(Int(truncatingIfNeeded: environment.lastTransaction))
        if try isKnown(environment) { return environment }
        throw LMDBFailure(code: MDB_CORRUPTED, call: "store state")
    }

    /// Whether the store is one that this build knows.
    private func isKnown(_ environment: Environment) throws(LMDBFailure) -> Bool {
        let transaction = try ReadTransaction(environment)
        defer { transaction.close() }
        guard let bytes = try transaction.get(.meta, StoreState.key), let state = StoreState(bytes) else {
            return false
        }
        return state.extentPages == UInt32(truncatingIfNeeded: layout.extentPages)
    }
}

extension CacheError {
    /// What a store is that the disk cannot read.
    static func unreadableStore(_ directory: String, _ found: IndexDamage, _ failure: Errno) -> CacheError {
        .system("\(found.reason) of chunk store \(directory): remove it if the disk stays so", failure)
    }

    /// The error for a store that a later version of this program has written.
    static func newerStore(_ directory: String, _ found: IndexDamage) -> CacheError {
        CacheError(
            .unsupported,
            "chunk store \(directory) was made by a newer layercache (\(found.reason)) and is left as it is: use that "
                + "one, or another directory"
        )
    }
}
