public import Logging
public import NIOCore

/// Sealed chunks in LMDB on a local disk: the store of L1 and of L2.
///
/// The files in its directory never pass the capacity. Several processes may open one directory at the same time. Everything that
/// is stored can be lost at any moment (evicted, or the whole store reset because it was damaged); what is read is what was put.
///
/// Reads block for the copy (and for the disk if the chunk is not in the page cache): call them from a thread of your own, not from an
/// event loop or the cooperative pool. Writes are queued, and done by the store's one thread.
public final class ChunkStore: Sendable {
    public struct Options: Sendable {
        /// Bytes on disk that the store's files never pass: 4 MiB to 16 TiB. If other processes have the directory open, theirs holds.
        public var capacity: UInt64
        /// Sealed bytes that may wait to be committed, in memory.
        public var writeQueueBytes: Int
        /// Reads of one chunk within this many seconds count as one for eviction: they belong to one image start.
        public var touchIntervalSeconds: UInt32
        /// Bytes of chunks that may be read or replaced before the pages they lie in are taken out of this process's resident memory (they stay in the
        /// page cache); `nil` leaves them there. Costs about 1 % of reading and opening.
        public var mappedBytes: Int?
        /// Whether opening, which waits up to 30 s for another process that opens the store at the moment, is to give up now. Asked every 5 ms.
        public var isGivenUp: @Sendable () -> Bool = { false }
        package var layout = StoreLayout.standard

        public init(capacity: UInt64, writeQueueBytes: Int = 64 << 20, touchIntervalSeconds: UInt32 = 30) {
            self.capacity = capacity
            self.writeQueueBytes = writeQueueBytes
            self.touchIntervalSeconds = touchIntervalSeconds
        }
    }

    /// The directory, as it was given.
    public let directory: String
    private let layout: StoreLayout
    private let capacity: UInt64
    private let reads: ReadPool
    private let mapped: MappedPages
    private let writer: StoreWriter
    private let frequencies: FrequencyTable
    private let touched: TouchedChunks
    private let counters: StoreCounters

    /// Opens the store in `directory`, making it if need be. Blocks: well under a second for 10 GiB, whose index is checked first.
    ///
    /// A store that is damaged, or made by another version, or larger than the capacity starts empty, with a line in the log.
    /// - Throws: ``CacheError``: `.invalidInput` for a capacity out of range, `.conflict` if this process has it open already,
    ///   `.unsupported` if a process of another version has, `.timedOut`, `.io`.
    public static func open(_ directory: String, options: Options, logger: Logger) throws -> ChunkStore {
        try ChunkStore(directory, options, logger)
    }

    private init(_ path: String, _ options: Options, _ logger: Logger) throws {
        let counters = StoreCounters()
        let opened = try OpenedStore(path, options, counters, logger)
        directory = path
        layout = options.layout
        capacity = opened.budget.capacity
        self.counters = counters
        reads = ReadPool(opened.environment)
        mapped = MappedPages(opened.environment, limit: options.mappedBytes)
        frequencies = FrequencyTable(
            slots: Int(opened.budget.capacity >> 15), intervalSeconds: options.touchIntervalSeconds)
        touched = TouchedChunks()
        writer = StoreWriter(
            directory: opened.directory, environment: opened.environment, mapped: mapped, layout: options.layout,
            budget: opened.budget,
            queueLimit: max(options.writeQueueBytes, ChunkLimits.sealedBytes), frequencies: frequencies,
            touched: touched, counters: counters, logger: logger)
    }

    deinit {
        writer.close(reads) {}
    }

    /// Commits what waits, keeps what is known of recency, and closes the files. Reads and writes fail with `.closed` from now on.
    public func close() async {
        await withCheckedContinuation { done in writer.close(reads) { done.resume() } }
    }

    // MARK: Reading

    /// Whether the chunk is here. About 1 us; does not count as a read of it.
    public func contains(_ id: ChunkID) throws -> Bool {
        try reading { try self.record(id, $0) != nil } ?? false
    }

    /// For each of `ids`, whether the chunk is missing here. One transaction; below 1 us an id.
    public func missing(_ ids: [ChunkID]) throws -> [Bool] {
        try reading { transaction in try ids.map { try self.record($0, transaction) == nil } }
            ?? Array(repeating: true, count: ids.count)
    }

    /// The sealed bytes of a chunk, copied once and checked against their name; `nil` if it is not here.
    ///
    /// - Parameter touch: count it as a read for eviction.
    /// - Throws: `.corrupt` if the bytes are damaged; the chunk is being dropped then.
    public func read(_ id: ChunkID, touch: Bool = true) throws -> ByteBuffer? {
        let copy = try withSealedPieces(id, touch: touch) { pieces in
            var buffer = ByteBufferAllocator().buffer(capacity: pieces.reduce(0) { $0 + $1.count })
            for piece in pieces { buffer.writeBytes(piece) }
            return buffer
        }
        guard let copy else { return nil }
        if copy.withUnsafeReadableBytes({ ChunkID(ofSealed: $0) }) != id { throw corrupt(id) }
        return copy
    }

    /// Calls `body` with the sealed bytes of a chunk where they lie in LMDB's map; `nil` if it is not here.
    ///
    /// The pieces, in order, are exactly as long together as the sealed chunk. They are **not verified**: `body` must hash them
    /// while it uses them, and the caller must call ``reportCorrupt(_:)`` if the name differs. They are gone when `body` returns.
    /// `body` must be short: as long as it runs no page of the store that was freed since can be used again.
    /// - Throws: `.corrupt` if parts are missing (the chunk is being dropped then), and what `body` throws.
    public func withSealedPieces<R>(
        _ id: ChunkID, touch: Bool, _ body: ([UnsafeRawBufferPointer]) throws -> R
    ) throws -> R? {
        let found = try reading { transaction -> R? in
            guard let pieces = try self.pieces(id, transaction) else { return nil }
            defer { mapped.touch(pieces.reduce(0) { $0 + $1.count }) }
            return try body(pieces)
        }
        guard let found, let result = found else {
            counters.misses.count()
            return nil
        }
        counters.hits.count()
        if touch, frequencies.touch(id, now: StoreWriter.seconds()) { touched.append(id) }
        return result
    }

    /// Drops a chunk whose bytes turned out not to be what its name says, soon, and counts it.
    public func reportCorrupt(_ id: ChunkID) {
        // A store that is closed or out of order has nothing left to drop from.
        try? writer.submit(.drop(id))
    }

    private func corrupt(_ id: ChunkID) -> CacheError {
        reportCorrupt(id)
        return CacheError(.corrupt, "chunk \(id) in \(directory) is damaged and is dropped; fetch it again")
    }

    /// Runs `body` in a read transaction; `nil` if LMDB found its environment broken, which turns the store off.
    private func reading<R>(_ body: (ReadTransaction) throws -> R) throws -> R? {
        do {
            return try reads.read(body)
        } catch let failure as LMDBFailure {
            guard failure.isFatal else {
                let code: CacheError.Code = failure.isReadersFull ? .overloaded : .io
                throw CacheError(code, "read from the chunk store \(directory)", cause: failure)
            }
            writer.breakDown(failure)
            return nil
        }
    }

    private func record(_ id: ChunkID, _ transaction: ReadTransaction) throws -> UnsafeRawBufferPointer? {
        try id.digest.withUnsafeBytes { try transaction.get(.chunks, $0) }
    }

    private func pieces(_ id: ChunkID, _ transaction: ReadTransaction) throws -> [UnsafeRawBufferPointer]? {
        guard let stored = try record(id, transaction) else { return nil }
        guard let record = ChunkRecord(stored, layout: layout) else { throw corrupt(id) }
        let length = Int(record.sealedLength)
        let count = layout.extentCount(length)
        var pieces: [UnsafeRawBufferPointer] = []
        pieces.reserveCapacity(count + 1)
        var rest = length - layout.tailBytes(length)
        for index in 0..<count {
            let number = ExtentKey.number(base: record.base, index: index)
            guard let extent = try transaction.extent(number, following: index > 0), extent.count == layout.extentBytes
            else { throw corrupt(id) }
            let piece = min(rest, extent.count)
            pieces.append(UnsafeRawBufferPointer(rebasing: extent[..<piece]))
            rest -= piece
        }
        if stored.count > ChunkRecord.byteCount {
            pieces.append(UnsafeRawBufferPointer(rebasing: stored[ChunkRecord.byteCount...]))
        }
        return pieces
    }

    // MARK: Writing

    /// Stores a chunk whose bytes the caller has checked against their name; returns once it is committed.
    ///
    /// - Throws: `.overloaded` if the write queue is full, `.io` if the disk refuses (the store stays usable), `.closed`,
    ///   `.limitExceeded` for a length that no chunk has.
    public func put(_ id: ChunkID, _ sealed: ByteBuffer) async throws -> PutOutcome {
        try checkLength(id, sealed)
        return try await withCheckedThrowingContinuation { waiting in
            do {
                try writer.submit(.put(id, sealed, waiting))
            } catch {
                counters.writesRefused.count()
                waiting.resume(throwing: error)
            }
        }
    }

    /// Stores a chunk in a while, without waiting: a fill that nobody depends on. False, and counted, if it cannot be queued.
    @discardableResult
    public func tryPut(_ id: ChunkID, _ sealed: ByteBuffer) -> Bool {
        do {
            try checkLength(id, sealed)
            try writer.submit(.put(id, sealed, nil))
            return true
        } catch {
            counters.writesRefused.count()
            return false
        }
    }

    /// Returns once everything that was queued before is committed and the reads counted up to now are kept.
    public func flush() async throws {
        try await withCheckedThrowingContinuation { (waiting: CheckedContinuation<Void, any Error>) in
            do {
                try writer.submit(.flush(waiting))
            } catch {
                waiting.resume(throwing: error)
            }
        }
    }

    private func checkLength(_ id: ChunkID, _ sealed: ByteBuffer) throws {
        guard sealed.readableBytes >= 1, sealed.readableBytes <= ChunkLimits.sealedBytes else {
            throw CacheError(
                .limitExceeded,
                "chunk \(id) has \(sealed.readableBytes) bytes: 1 to \(ChunkLimits.sealedBytes) are allowed")
        }
    }

    // MARK: Statistics

    /// What the store holds and did. A few microseconds; the counts are each exact but not of one instant.
    public var statistics: ChunkStoreStatistics {
        var statistics = counters.snapshot()
        statistics.capacity = capacity
        statistics.queuedBytes = UInt64(writer.queuedBytes)
        // A store that is closed or broken holds nothing.
        if let state = try? reads.read({ try $0.get(.meta, StoreTransaction.stateKey).flatMap(StoreState.init) }) {
            statistics.chunks = state.chunks
            statistics.bytesUsed = state.usedBytes
            statistics.sealedBytes = state.sealedBytes
        }
        return statistics
    }
}
