internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
internal import Logging
internal import NIOCore

/// The use of a store's files from one opening to its end: they are closed, or they turn out to be damaged.
///
/// A session breaks once and for good (``BreakLatch``). Then reads find nothing, writes fail with ``Broken``, and
/// ``ChunkStore`` is told, which opens the next session.
final class StoreSession: Sendable {
    /// The files could not be trusted any more; what was to be written is not.
    struct Broken: Error {}

    let capacity: UInt64
    private let path: String
    private let layout: StoreLayout
    private let reads: ReadPool
    private let mapped: MappedPages
    private let file: ExtentFile
    private let writer: StoreWriter
    private let broken = BreakLatch()
    private let frequencies: FrequencyTable
    private let touched: TouchedChunks

    /// Opens the files in `path`, checking them first. Blocks.
    ///
    /// - Parameters:
    ///   - suspect: check all of the index even if other processes have the files open, because they were found damaged
    ///     in use.
    ///   - onBreak: called at most once, from any thread.
    init(
        _ path: String, _ options: ChunkStore.Options, suspect: Bool, _ counters: StoreCounters, _ logger: Logger,
        onBreak: @escaping @Sendable (StoreSession, _ reason: String) -> Void
    ) throws {
        let opened = try OpenedStore(path, options, suspect: suspect, counters, logger)
        self.path = path
        layout = options.layout
        capacity = opened.budget.capacity
        reads = ReadPool(opened.environment)
        mapped = MappedPages(opened.environment, limit: options.mappedBytes)
        file = opened.file
        frequencies = FrequencyTable(
            slots: Int(opened.budget.capacity >> 15), intervalSeconds: options.touchIntervalSeconds)
        touched = TouchedChunks()
        let committer = GroupCommitter(
            opened, layout: options.layout, frequencies: frequencies, touched: touched, counters: counters,
            logger: logger)
        writer = StoreWriter(
            opened, committer: committer, mapped: mapped, broken: broken,
            queueLimit: max(options.writeQueueBytes, ChunkLimits.sealedBytes), counters: counters, logger: logger)
        broken.whenSet { [weak self] reason in
            if let self { onBreak(self, reason) }
        }
    }

    deinit {
        writer.close(reads) {}
    }

    /// Commits what waits, writes the reads that were counted to the records, and closes the files.
    func close() async {
        await withCheckedContinuation { done in writer.close(reads) { done.resume() } }
    }

    var isBroken: Bool { broken.isSet }
    var queuedBytes: Int { writer.queuedBytes }

    /// The totals; `nil` if the files are closed or broken.
    var state: StoreState? {
        try? reading { try $0.get(.meta, StoreState.key).flatMap(StoreState.init) } ?? nil
    }

    func submit(_ write: QueuedWrite) throws {
        try writer.submit(write)
    }

    // MARK: Reading

    func contains(_ id: ChunkID) throws -> Bool {
        try reading { try self.record(id, $0) != nil } ?? false
    }

    func missing(_ ids: [ChunkID]) throws -> [Bool]? {
        try reading { transaction in try ids.map { try self.record($0, transaction) == nil } }
    }

    /// Calls `body` with a chunk's extents, while nothing can replace them.
    /// - Throws: `.corrupt` for the first to find parts of it missing or unreadable; the chunk is being dropped then.
    func withSealed<R>(
        _ id: ChunkID, touch: Bool, _ body: (SealedExtents) throws(SealedExtents.Unreadable) -> R
    ) throws -> R? {
        if writer.isDropping(id) { return nil }
        let found = try reading { transaction -> R? in
            defer { mapped.touch(MappedPages.indexBytes) }
            guard let pieces = try self.pieces(id, transaction) else { return nil }
            do {
                return try body(SealedExtents(pieces, in: file))
            } catch {
                return try damaged(id)
            }
        }
        guard let found, let result = found else { return nil }
        if touch, frequencies.touch(id, now: StoreWriter.seconds()) { touched.append(id) }
        return result
    }

    /// See ``ChunkStore/length(of:)``.
    func length(of id: ChunkID) throws -> Int? {
        try reading { transaction in try self.pieces(id, transaction)?.reduce(0) { $0 + $1.count } } ?? nil
    }

    /// See ``ChunkStore/examine(_:)``.
    func examine(_ id: ChunkID) throws -> StoredChunk {
        do {
            let found = try withSealed(id, touch: false) { sealed throws(SealedExtents.Unreadable) in
                (hash: try sealed.hash(), bytes: sealed.byteCount)
            }
            guard let found else { return .absent }
            if found.hash == id.digest { return .sound(bytes: found.bytes) }
            return try damaged(id) ?? .absent
        } catch let error as CacheError where error.code == .corrupt {
            return .dropped
        }
    }

    /// See ``ChunkStore/ids(after:)``.
    func ids(after id: ChunkID) throws -> [ChunkID] {
        let ids = try reading { transaction in
            try id.digest.withUnsafeBytes { key in
                try transaction.keys(.chunks, after: key).compactMap { SHA256Digest(bytes: $0).map(ChunkID.init) }
            }
        }
        return ids ?? []
    }

    /// Queues the removal of a chunk whose bytes turned out not to match its name, and counts it once.
    /// - Returns: `nil` if it is on its way out already, or has gone since it was looked up.
    /// - Throws: `.corrupt` for the first to say so.
    func damaged<R>(_ id: ChunkID) throws -> R? {
        guard try writer.drop(id, if: { try contains(id) }) else { return nil }
        throw CacheError(.corrupt, "chunk \(id) in \(path) is damaged and is dropped; fetch it again")
    }

    /// Runs `body` in a read transaction; `nil` if the files turn out to be damaged, which breaks the session.
    private func reading<R>(_ body: (ReadTransaction) throws -> R) throws -> R? {
        if isBroken { return nil }
        do {
            return try reads.read(body)
        } catch let failure as LMDBFailure {
            guard failure.isFatal else {
                let code: CacheError.Code = failure.isReadersFull ? .overloaded : .io
                throw CacheError(code, "read from the chunk store \(path)", cause: failure)
            }
            broken.set("\(failure)")
            return nil
        }
    }

    private func record(_ id: ChunkID, _ transaction: ReadTransaction) throws -> UnsafeRawBufferPointer? {
        try id.digest.withUnsafeBytes { try transaction.get(.chunks, $0) }
    }

    private func pieces(_ id: ChunkID, _ transaction: ReadTransaction) throws -> [UnsafeRawBufferPointer]? {
        guard let stored = try record(id, transaction) else { return nil }
        guard let record = ChunkRecord(stored, layout: layout) else { return try damaged(id) }
        let length = Int(record.sealedLength)
        let count = layout.extentCount(length)
        var pieces: [UnsafeRawBufferPointer] = []
        pieces.reserveCapacity(count + 1)
        var rest = length - layout.tailBytes(length)
        for index in 0..<count {
            let number = ExtentKey.number(base: record.base, index: index)
            guard let extent = try transaction.extent(number, following: index > 0), extent.count == layout.extentBytes
            else { return try damaged(id) }
            let piece = min(rest, extent.count)
            pieces.append(UnsafeRawBufferPointer(rebasing: extent[..<piece]))
            rest -= piece
        }
        if stored.count > ChunkRecord.byteCount {
            pieces.append(UnsafeRawBufferPointer(rebasing: stored[ChunkRecord.byteCount...]))
        }
        return pieces
    }
}
