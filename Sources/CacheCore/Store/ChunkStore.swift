public import CacheBase
public import CacheChunks
public import Logging
internal import NIOConcurrencyHelpers
public import NIOCore

/// Sealed chunks in LMDB on a local disk: the store of L1 and of L2.
///
/// The files in its directory never pass the capacity. Several processes may open one directory at the same time.
/// Everything that is stored can be lost at any moment (evicted, or the whole store reset because it was damaged); what
/// is read is what was put.
///
/// Damage to the files in use is found before LMDB follows it, as far as that is possible. Then reads are misses while
/// the files are closed, checked and opened again (empty if they are damaged), and writes wait for that, up to five
/// seconds.
///
/// Reads block for the copy (and for the disk if the chunk is not in the page cache): call them from a thread of your
/// own, not from an event loop or the cooperative pool. Writes are queued, and done by the store's one thread.
public final class ChunkStore: Sendable {
    public struct Options: Sendable {
        /// Bytes on disk that the store's files never pass: 4 MiB to 16 TiB. If other processes have the directory
        /// open, theirs holds.
        public var capacity: UInt64
        /// Sealed bytes that may wait to be committed, in memory.
        public var writeQueueBytes: Int
        /// Reads of one chunk within this many seconds count as one for eviction: they belong to one image start.
        public var touchIntervalSeconds: UInt32
        /// Bytes of chunks that may be read or replaced before the pages they lie in are taken out of this process's
        /// resident memory (they stay in the page cache); `nil` leaves them there. Costs about 1 % of reading and
        /// opening.
        public var mappedBytes: Int?
        /// Whether opening, which waits up to 30 s for another process that opens the store at the moment, is to give
        /// up now. Asked every 5 ms.
        public var isGivenUp: @Sendable () -> Bool = { false }
        /// Whether writes wait, up to five seconds, for a store that is out of order and is being opened again; else
        /// they are refused meanwhile.
        public var waitsForReopening = true
        package var layout = StoreLayout.standard
        /// The clock of the pauses between attempts to open a damaged store again.
        package var clock: any Clock<Duration> = ContinuousClock()

        public init(capacity: UInt64, writeQueueBytes: Int = 64 << 20, touchIntervalSeconds: UInt32 = 30) {
            self.capacity = capacity
            self.writeQueueBytes = writeQueueBytes
            self.touchIntervalSeconds = touchIntervalSeconds
        }
    }

    /// The directory, as it was given.
    public let directory: String
    let options: Options
    let counters: StoreCounters
    let logger: Logger
    let phase = NIOLockedValueBox(Phase.closed)
    /// The second at which the files broke last (0: never), and how often in a row they broke.
    let recent = NIOLockedValueBox((last: UInt32(0), count: 0))

    /// Whether the store has its files open.
    enum Phase {
        case open(StoreSession)
        /// They were damaged or failed, and are being opened again.
        case reopening(Reopening)
        case closed
    }

    /// Opens the store in `directory`, making it if need be. Blocks: well under a second for 10 GiB, whose index is
    /// checked first.
    ///
    /// A store that is damaged, or made by another version, or larger than the capacity starts empty, with a line in
    /// the log.
    /// - Throws: ``CacheError``: `.invalidInput` for a capacity out of range, `.conflict` if this process has it open
    ///   already, `.unsupported` if a process of another version has, `.timedOut`, `.io`.
    public static func open(_ directory: String, options: Options, logger: Logger) throws -> ChunkStore {
        let store = ChunkStore(directory, options, logger)
        let session = try store.openSession(suspect: false)
        store.phase.withLockedValue { $0 = .open(session) }
        return store
    }

    private init(_ path: String, _ options: Options, _ logger: Logger) {
        directory = path
        self.options = options
        self.logger = logger
        counters = StoreCounters()
    }

    /// Commits what waits, writes the reads that were counted to the records, and closes the files. Reads and writes
    /// fail with `.closed` from now on.
    public func close() async {
        let last = phase.withLockedValue { phase in
            let last = phase
            phase = .closed
            return last
        }
        switch last {
        case .open(let session): await session.close()
        case .reopening(let reopening): await reopening.stop()
        case .closed: break
        }
    }

    /// Whether the files are open and sound: false while they are being checked and opened again, and after `close`.
    public var isServing: Bool {
        phase.withLockedValue { if case .open(let session) = $0 { !session.isBroken } else { false } }
    }

    /// The files; `nil` while they are being opened again.
    func session() throws -> StoreSession? {
        try phase.withLockedValue { phase in
            switch phase {
            case .open(let session): return session
            case .reopening: return nil
            case .closed: throw CacheError(.closed, "the chunk store \(directory) is closed")
            }
        }
    }

    // MARK: Reading

    /// Whether the chunk is here. About 1 us; does not count as a read of it.
    public func contains(_ id: ChunkID) throws -> Bool {
        try session()?.contains(id) ?? false
    }

    /// For each of `ids`, whether the chunk is missing here. One transaction; below 1 us an id.
    public func missing(_ ids: [ChunkID]) throws -> [Bool] {
        try session()?.missing(ids) ?? Array(repeating: true, count: ids.count)
    }

    /// The sealed bytes of a chunk, copied once and checked against their name; `nil` if it is not here.
    ///
    /// - Parameter touch: count it as a read for eviction.
    /// - Throws: `.corrupt` for the first caller that meets damaged bytes. The chunk is being dropped then, and later
    ///   reads find nothing.
    public func read(_ id: ChunkID, touch: Bool = true) throws -> ByteBuffer? {
        guard let copy = try readUnverified(id, touch: touch) else { return nil }
        guard copy.withUnsafeReadableBytes({ ChunkID(ofSealed: $0) }) == id else { return try damaged(id) }
        return copy
    }

    /// The same, but **not verified**: for those who pass the bytes on to who checks them.
    ///
    /// - Parameter allocator: where the memory of the copy comes from.
    /// - Throws: as ``readUnverified(_:touch:into:)``.
    package func readUnverified(
        _ id: ChunkID, touch: Bool = true, allocator: ByteBufferAllocator = ByteBufferAllocator()
    ) throws -> ByteBuffer? {
        try withSealed(id, touch: touch) { sealed throws(SealedExtents.Unreadable) in
            var buffer = allocator.buffer(capacity: sealed.byteCount)
            try buffer.writeWithUnsafeMutableBytes(
                minimumWritableBytes: sealed.byteCount
            ) { room throws(SealedExtents.Unreadable) in
                try sealed.copy(to: room)
                return sealed.byteCount
            }
            return buffer
        }
    }

    /// Copies the sealed bytes of a chunk to the beginning of `memory`; `nil` if it is not here.
    ///
    /// They are **not verified**: the caller hashes them as it uses them, and calls ``reportCorrupt(_:)`` if the name
    /// differs. One system call for what the page cache has.
    /// - Parameter memory: has room for the longest sealed chunk, ``ChunkLimits/sealedBytes``.
    /// - Returns: how many bytes.
    /// - Throws: `.corrupt` if parts are missing or cannot be read; the chunk is being dropped then.
    public func readUnverified(
        _ id: ChunkID, touch: Bool, into memory: UnsafeMutableRawBufferPointer
    ) throws -> Int? {
        try withSealed(id, touch: touch) { sealed throws(SealedExtents.Unreadable) in
            try sealed.copy(to: memory)
            return sealed.byteCount
        }
    }

    /// See ``StoreSession/withSealed(_:touch:_:)``.
    func withSealed<R>(
        _ id: ChunkID, touch: Bool, _ body: (SealedExtents) throws(SealedExtents.Unreadable) -> R
    ) throws -> R? {
        counted(try session()?.withSealed(id, touch: touch, body))
    }

    /// The length in bytes of a sealed chunk, of which nothing is read but the index; `nil` if it is not here.
    /// - Throws: as ``readUnverified(_:touch:into:)``.
    package func length(of id: ChunkID) throws -> Int? {
        counted(try session()?.length(of: id))
    }

    private func counted<R>(_ found: R?) -> R? {
        if found == nil { counters.misses.count() } else { counters.hits.count() }
        return found
    }

    /// Queues the removal of a chunk whose bytes turned out not to match its name, and counts it once.
    public func reportCorrupt(_ id: ChunkID) {
        // The error would tell the caller what it has just told us, and a store that is closed has nothing left to drop
        // from.
        _ = try? damaged(id) as Void?
    }

    /// See ``StoreSession/damaged(_:)``. A store that is being opened again has nothing left to drop from.
    private func damaged<R>(_ id: ChunkID) throws -> R? { try session()?.damaged(id) }

    // MARK: Writing

    /// Stores a chunk whose bytes the caller has checked against their name; returns once it is committed.
    ///
    /// - Throws: `.overloaded` if the write queue is full or the store is out of order for now, `.io` if the disk
    ///   refuses (the store stays usable), `.closed`, `.limitExceeded` for a length that no chunk has.
    public func put(_ id: ChunkID, _ sealed: ByteBuffer) async throws -> PutOutcome {
        try checkLength(id, sealed)
        do {
            return try await writing { session in
                try await withCheckedThrowingContinuation { waiting in
                    do {
                        try session.submit(.put(id, sealed, waiting))
                    } catch {
                        waiting.resume(throwing: error)
                    }
                }
            }
        } catch {
            counters.writesRefused.count()
            throw error
        }
    }

    /// Queues a chunk to be stored and returns at once: for fills, whose outcome no caller needs. False, and counted,
    /// if the queue refuses it.
    @discardableResult
    public func tryPut(_ id: ChunkID, _ sealed: ByteBuffer) -> Bool {
        do {
            try checkLength(id, sealed)
            guard let session = try session() else { throw StoreSession.Broken() }
            try session.submit(.put(id, sealed, nil))
            return true
        } catch {
            counters.writesRefused.count()
            return false
        }
    }

    /// Returns once everything that was queued before is committed and the reads counted up to now are kept.
    public func flush() async throws {
        try await writing { session in
            try await withCheckedThrowingContinuation { (waiting: CheckedContinuation<Void, any Error>) in
                do {
                    try session.submit(.flush(waiting))
                } catch {
                    waiting.resume(throwing: error)
                }
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
        statistics.capacity = options.capacity
        guard let session = try? session() else { return statistics }
        statistics.capacity = session.capacity
        statistics.writes.queuedBytes = UInt64(session.queuedBytes)
        // A store that is broken holds nothing.
        if let state = session.state {
            statistics.chunks = state.chunks
            statistics.bytesUsed = state.usedBytes
            statistics.sealedBytes = state.sealedBytes
        }
        return statistics
    }
}
