internal import CacheCore
internal import Logging
internal import NIOCore
internal import NIOPosix

/// L1 as the reader sees it: nothing that its disk does can fail a read, or hold one up for longer than the deadline.
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
    private let breaker = CircuitBreaker(threshold: 5, rest: .seconds(5))
    private let logger: Logger
    /// What L1's files add to the resident memory of the process at most.
    private static let mappedBytes = 32 << 20

    private init(
        _ store: ChunkStore, _ pool: NIOThreadPool, _ deadline: Duration, _ deadlines: Deadlines, _ logger: Logger
    ) {
        self.store = store
        self.pool = pool
        self.deadline = deadline
        self.deadlines = deadlines
        self.logger = logger
    }

    /// Opens the store in `directory`.
    ///
    /// - Returns: `nil`, with a line in the log, if the disk is full: a cache must not fail a read for that.
    /// - Throws: ``CacheError`` for a directory that can never be one.
    static func open(
        _ directory: String, capacity: UInt64, threads: Int, deadline: Duration, deadlines: Deadlines, logger: Logger
    ) async throws -> L1Tier? {
        let pool = NIOThreadPool(numberOfThreads: threads)
        pool.start()
        do {
            let store = try await pool.runIfActive {
                var options = ChunkStore.Options(capacity: capacity)
                options.mappedBytes = mappedBytes
                return try ChunkStore.open(directory, options: options, logger: logger)
            }
            return L1Tier(store, pool, deadline, deadlines, logger)
        } catch {
            let isFull = try await pool.runIfActive { DiskSpace.isExhausted(at: directory) }
            try await pool.shutdownGracefully()
            guard isFull else {
                let code = (error as? CacheError)?.code ?? .io
                throw CacheError(
                    code, "L1 cannot be in \(directory): name another directory, or leave L1 out", cause: error)
            }
            logger.warning("the disk of L1 is full: going on without L1", metadata: ["directory": "\(directory)"])
            return nil
        }
    }

    var statistics: ChunkStoreStatistics { store.statistics }

    /// The plaintext of a chunk. Throws only if the task is cancelled.
    /// - Parameter buffers: where its memory comes from; `nil` for a buffer of its exact length.
    func get(_ ref: ChunkRef, buffers: BufferPool?) async throws -> Answer {
        try await ask(ref.id) { [store, pool] in
            try await pool.runIfActive { try Self.read(ref, store, buffers) }
        } ?? .unavailable
    }

    /// The sealed bytes of what is kept under a name, checked. Throws only if the task is cancelled.
    func sealed(_ id: ChunkID) async throws -> Answer {
        try await ask(id) { [store, pool] in
            try await pool.runIfActive {
                do { return try store.read(id).map { .hit($0) } ?? .miss(dropped: false) } catch let error as CacheError
                    where error.code == .corrupt
                {
                    return .miss(dropped: true)
                }
            }
        } ?? .unavailable
    }

    /// Keeps a chunk; returns once it is committed or refused.
    func put(_ id: ChunkID, _ sealed: ByteBuffer) async throws {
        _ = try await ask(id) { [store] in try await store.put(id, sealed) }
    }

    /// Closes the store, but waits no longer than the deadline for a disk that hangs.
    func close() async throws {
        try await deadlines.run(deadline, "L1, being closed,") { [store, pool] in
            await store.close()
            try await pool.shutdownGracefully()
        }
    }

    /// `nil` if L1 is not asked, fails or is late.
    private func ask<T: Sendable>(_ id: ChunkID, _ operation: @escaping @Sendable () async throws -> T) async throws
        -> T?
    {
        guard breaker.mayTry() else { return nil }
        do {
            let result = try await deadlines.run(deadline, "L1", operation)
            breaker.succeeded()
            return result
        } catch {
            if Task.isCancelled {
                breaker.abandoned()
                throw CancellationError()
            }
            // A disk that is full or a queue that is says so at once and goes on serving reads.
            if (error as? CacheError)?.code == .timedOut { breaker.failed() } else { breaker.succeeded() }
            logger.debug("L1 did not serve a chunk", metadata: ["chunk": "\(id)", "error": "\(error)"])
            return nil
        }
    }

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

    /// Reading it again tells who lies: if the bytes are what their name says, it is the manifest, and the chunk stays for others.
    private static func drops(_ id: ChunkID, _ store: ChunkStore) throws -> Bool {
        do {
            return try store.read(id, touch: false) == nil
        } catch let error as CacheError where error.code == .corrupt {
            return true
        }
    }
}
