internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// L1 as the reader sees it: nothing that its disk or its other users do can fail a read, or hold reads up for longer than the deadline
/// in all (and a share of the time that they take, see ``Patience``).
///
/// It reads on threads of its own: those that a hung disk keeps are missed by nobody else.
final class L1Tier: Sendable {
    enum Answer: Sendable {
        case hit(ByteBuffer)
        /// L1 has no such chunk; `dropped` if it had one until now, but damaged.
        case miss(dropped: Bool)
        case unavailable
    }

    private let store: ChunkStore
    private let pool: NIOThreadPool
    private let deadline: Duration
    private let deadlines: Deadlines
    private let patience: NIOLockedValueBox<Patience>
    private let readsUnderWay = Synchronization.Atomic<Int>(0)
    private let reads: CircuitBreaker
    private let writes: CircuitBreaker
    private let logger: Logger
    private let hasWarned = Synchronization.Atomic<Bool>(false)
    /// What L1's files add to the resident memory of the process at most.
    private static let mappedBytes = 32 << 20
    /// A read takes that long now and then, on a machine or disk that is busy, without L1 being ill.
    static let free = Duration.milliseconds(250)
    private static let failures = 5
    private static let rest = Duration.seconds(5)

    private init(
        _ store: ChunkStore, _ pool: NIOThreadPool, _ deadline: Duration, _ patience: Patience, _ deadlines: Deadlines,
        _ logger: Logger
    ) {
        self.store = store
        self.pool = pool
        self.deadline = deadline
        self.deadlines = deadlines
        self.patience = NIOLockedValueBox(patience)
        reads = CircuitBreaker(threshold: Self.failures, rest: Self.rest, time: deadlines.time)
        writes = CircuitBreaker(threshold: Self.failures, rest: Self.rest, time: deadlines.time)
        self.logger = logger
    }

    /// Opens the store in `directory`, within the deadline.
    ///
    /// - Returns: `nil`, with a line in the log, if that cannot be done now: a full, read-only or failing disk, no permission, a neighbour
    ///   that is stopped. A cache must not fail a read for that.
    /// - Throws: ``CacheError`` for what is wrong whoever opens it and whenever: the path is not one of a directory (`.io`), this process has it open
    ///   already (`.conflict`), the capacity is out of range; `CancellationError`.
    static func open(
        _ directory: String, capacity: UInt64, threads: Int, deadline: Duration, deadlines: Deadlines, logger: Logger
    ) async throws -> L1Tier? {
        let pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
        let time = deadlines.time
        let began = time.now()
        // A little before the deadline, so that the line in the log can say what it waited for.
        let end = began + deadline * 0.95
        let isGivenUp = GivenUp()
        do {
            let store = try await deadlines.run(deadline, "L1 in \(directory)") {
                try await pool.runIfActive {
                    var options = ChunkStore.Options(capacity: capacity)
                    options.mappedBytes = mappedBytes
                    // A fill is worth less than the time of its reader.
                    options.waitsForReopening = false
                    options.isGivenUp = { isGivenUp.flag.load(ordering: .relaxed) || time.now() >= end }
                    return try open(directory, options, logger)
                }
            }
            var patience = Patience(deadline)
            let now = time.now()
            patience.spend(now - began - free, now: now)
            return L1Tier(store, pool, deadline, patience, deadlines, logger)
        } catch {
            // A thread that is still at it finds that out, and closes what it may have opened.
            isGivenUp.flag.store(true, ordering: .relaxed)
            pool.shutdownGracefully { _ in }
            if Task.isCancelled { throw CancellationError() }
            if let mistake = error as? Mistake { throw mistake.error }
            logger.warning(
                "L1 cannot be used: going on without it", metadata: ["directory": "\(directory)", "error": "\(error)"])
            return nil
        }
    }

    private final class GivenUp: Sendable {
        let flag = Synchronization.Atomic<Bool>(false)
    }

    /// What is the fault of whoever chose the directory: the same tomorrow and on every host.
    private struct Mistake: Error {
        let error: CacheError
    }

    /// Blocks.
    private static func open(
        _ directory: String, _ options: ChunkStore.Options, _ logger: Logger
    ) throws -> ChunkStore {
        do {
            return try ChunkStore.open(directory, options: options, logger: logger)
        } catch {
            let code = (error as? CacheError)?.code ?? .io
            guard [.conflict, .invalidInput].contains(code) || DirectoryPath.canNeverBe(directory) else { throw error }
            throw Mistake(
                error: CacheError(
                    code, "L1 cannot be in \(directory): name another directory, or leave L1 out", cause: error))
        }
    }

    var statistics: ChunkStoreStatistics { store.statistics }

    // MARK: Reads

    /// The plaintext of a chunk. Throws only if the task is cancelled.
    /// - Parameter buffers: where its memory comes from; `nil` for a buffer of its exact length.
    func get(_ ref: ChunkRef, buffers: BufferPool?) async throws -> Answer {
        switch reads.admit() {
        case .no: return .unavailable
        case .probe:
            // Nobody waits for a tier that was of no use the last time.
            Task { try await ask(ref.id) { [store] in try Self.read(ref, store, nil) } }
            return .unavailable
        case .yes:
            return try await ask(ref.id) { [store] in try Self.read(ref, store, buffers) } ?? .unavailable
        }
    }

    /// The sealed bytes of what is kept under a name, checked. Throws only if the task is cancelled.
    func sealed(_ id: ChunkID) async throws -> Answer {
        guard !isLeftAlone else { return .unavailable }
        return try await ask(id) { [store] in
            do {
                return try store.read(id).map { .hit($0) } ?? .miss(dropped: false)
            } catch let error as CacheError where error.code == .corrupt {
                return .miss(dropped: true)
            }
        } ?? .unavailable
    }

    /// Whether it was of no use lately, and is only asked to find out whether that is still so.
    var isLeftAlone: Bool { reads.isOpen }

    private func ask<T: Sendable>(_ id: ChunkID, _ read: @escaping @Sendable () throws -> T) async throws -> T? {
        try await ask("\(id)") { [pool] in try await pool.runIfActive { try read() } }
    }

    /// Does something that needs L1's disk, as one of its reads; `nil` if it fails or is late. Throws only if the task is cancelled.
    func ask<T: Sendable>(
        _ what: @autoclosure () -> String, _ read: @escaping @Sendable () async throws -> T
    ) async throws -> T? {
        let began = deadlines.time.now()
        readsUnderWay.add(1, ordering: .relaxed)
        defer { readsUnderWay.subtract(1, ordering: .relaxed) }
        do {
            let answer = try await deadlines.run(waitForRead, "L1", read)
            if spend(deadlines.time.now() - began) { reads.succeeded() } else { isLate(reads) }
            return answer
        } catch {
            if Task.isCancelled {
                reads.abandoned()
                throw CancellationError()
            }
            if (error as? CacheError)?.code == .timedOut {
                reads.failed()
                if !spend(deadlines.time.now() - began) || reads.isOpen { isLate(reads) }
            } else {
                reads.succeeded()
            }
            note(error, what())
            return nil
        }
    }

    var waitForRead: Duration {
        min(deadline, max(patience.withLockedValue { $0.left(now: deadlines.time.now()) }, Self.free))
    }

    /// Takes note that a read took so long; whether there is patience left, or nothing was lost.
    private func spend(_ duration: Duration) -> Bool {
        let loss = duration - Self.free
        guard loss > .zero else { return true }
        return patience.withLockedValue { patience in
            let now = deadlines.time.now()
            patience.spend(loss / max(readsUnderWay.load(ordering: .relaxed), 1), now: now)
            return patience.left(now: now) > .zero
        }
    }

    /// L1 is left alone for a while. One line in the log, however often that happens.
    private func isLate(_ breaker: CircuitBreaker) {
        breaker.open()
        warn("L1 does not answer in time: going on without it for a while")
    }

    private func warn(_ message: Logger.Message) {
        if hasWarned.exchange(true, ordering: .relaxed) { return }
        logger.warning(message, metadata: ["directory": "\(store.directory)"])
    }

    private func note(_ error: any Error, _ what: String) {
        logger.debug("L1 did not serve a chunk", metadata: ["chunk": "\(what)", "error": "\(error)"])
    }

    // MARK: Fills

    /// Keeps a chunk; returns once it is committed or refused. Throws only if the task is cancelled.
    func put(_ id: ChunkID, _ sealed: ByteBuffer) async throws {
        if writes.admit() == .no { return }
        do {
            _ = try await deadlines.run(deadline, "L1") { [store] in try await store.put(id, sealed) }
            writes.succeeded()
        } catch {
            if Task.isCancelled {
                writes.abandoned()
                throw CancellationError()
            }
            // A disk that is full or a queue that is says so at once.
            if (error as? CacheError)?.code == .timedOut {
                writes.failed()
                if writes.isOpen { warn("L1 does not take chunks in time: going on without filling it for a while") }
            } else {
                writes.succeeded()
            }
            note(error, "\(id)")
        }
    }

    /// How long a reader may wait for room for a fill, and the end of all reads for what is on its way.
    var waitForFills: Duration {
        writes.isOpen ? .zero : max(patience.withLockedValue { $0.left(now: deadlines.time.now()) }, .zero)
    }

    func waitedForFills(_ duration: Duration, readers: Int) {
        patience.withLockedValue { $0.spend(duration / readers, now: deadlines.time.now()) }
    }

    /// Closes the store, but waits for a disk that hangs no longer than there is patience left.
    func close() async {
        let wait = writes.isOpen || reads.isOpen ? Self.free : waitForRead
        do {
            try await deadlines.run(wait, "L1, being closed,") { [store, pool] in
                await store.close()
                try await pool.shutdownGracefully()
            }
        } catch {
            // Its threads keep it; all that was read was delivered.
            pool.shutdownGracefully { _ in }
            warn("L1 was not closed in time")
        }
    }

    // MARK: One read

    /// Checks, decrypts and decompresses straight out of LMDB's map. Blocks.
    private static func read(_ ref: ChunkRef, _ store: ChunkStore, _ buffers: BufferPool?) throws -> Answer {
        do {
            let plain = try store.withSealedPieces(ref.id, touch: true) { pieces in
                try PlainBuffer.make(ref, from: buffers) { try ChunkOpener.current.open(ref, pieces: pieces, into: $0) }
            }
            return plain.map { .hit($0) } ?? .miss(dropped: false)
        } catch let error as CacheError where error.code == .corrupt {
            return .miss(dropped: try drops(ref.id, store))
        }
    }

    /// Reading it again tells who lies: if the bytes are what their name says, it is the manifest, and the chunk stays for others. If it is gone,
    /// somebody else has found it damaged, and counted that.
    private static func drops(_ id: ChunkID, _ store: ChunkStore) throws -> Bool {
        do {
            _ = try store.read(id, touch: false)
            return false
        } catch let error as CacheError where error.code == .corrupt {
            return true
        }
    }
}
