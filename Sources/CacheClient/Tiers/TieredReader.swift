internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Brings chunks up, top-down: memory, L1, L2, L3; one flight a chunk however many ask.
///
/// Every sealed chunk is checked against its name as it comes out of a tier. What fails is dropped there, counted, and fetched from the
/// next one; only when L3's copy is wrong or gone does the reader get an error. What a lower tier delivered fills those above it.
final class TieredReader: Sendable {
    private let memory: MemoryCache
    private let l1: ChunkStore?
    private let l2: L2Client?
    private let l3: any ObjectStore
    private let pool: NIOThreadPool
    private let fills: FillQueue
    private let l3Limit: AsyncLimiter
    private let configuration: CacheConfiguration
    private let logger: Logger
    private let flights = NIOLockedValueBox<[ChunkID: Task<ByteBuffer, any Error>]>([:])

    init(
        memory: MemoryCache, l1: ChunkStore?, l2: L2Client?, configuration: CacheConfiguration, pool: NIOThreadPool,
        logger: Logger
    ) {
        self.memory = memory
        self.l1 = l1
        self.l2 = l2
        self.l3 = configuration.l3
        self.pool = pool
        self.configuration = configuration
        self.logger = logger
        fills = FillQueue(l1: l1, l2: l2, bytes: configuration.fillBytes, logger: logger)
        l3Limit = AsyncLimiter(
            "reads of L3", capacity: configuration.l3Concurrency, maximumWaiters: configuration.l3Queue)
    }

    /// Whether L3 is so busy that a new image should not be opened now.
    var isOverloaded: Bool { l3Limit.waiting >= configuration.l3Queue }

    /// The plaintext of a chunk if it is in memory. Never suspends; copies nothing.
    func cached(_ ref: ChunkRef, counter: ReadCounter) -> ByteBuffer? {
        if ref.isZero {
            counter.zeroChunk()
            return ZeroBuffer.shared.getSlice(at: 0, length: Int(ref.plainLength))
        }
        guard let bytes = memory.get(ref.id) else { return nil }
        counter.delivered(by: .memory, bytes: bytes.readableBytes)
        return bytes
    }

    /// The plaintext of a chunk: exactly `ref.plainLength` bytes, checked.
    ///
    /// - Parameter generation: where L3 has it.
    /// - Throws: ``CacheError``: `.corrupt` or `.missing` if L3 has no right copy, naming the object; `.timedOut`, `.overloaded`, `.io`.
    func chunk(_ ref: ChunkRef, generation: Generation, counter: ReadCounter) async throws -> ByteBuffer {
        if let bytes = cached(ref, counter: counter) { return bytes }
        let (flight, isLeader) = flights.withLockedValue { flights in
            if let flight = flights[ref.id] { return (flight, false) }
            let flight = Task { try await self.fly(ref, generation: generation, counter: counter) }
            flights[ref.id] = flight
            return (flight, true)
        }
        let bytes = try await flight.value
        if !isLeader { counter.delivered(by: .memory, bytes: bytes.readableBytes) }
        return bytes
    }

    /// Waits until everything that was read has reached the tiers above, or they refused it.
    func drainFills() async {
        await fills.drain()
    }

    // MARK: One flight

    private func fly(_ ref: ChunkRef, generation: Generation, counter: ReadCounter) async throws -> ByteBuffer {
        defer { _ = flights.withLockedValue { $0.removeValue(forKey: ref.id) } }
        let bytes = try await descend(ref, generation: generation, counter: counter)
        memory.insert(ref.id, bytes)
        return bytes
    }

    private func descend(_ ref: ChunkRef, generation: Generation, counter: ReadCounter) async throws -> ByteBuffer {
        if let bytes = await fromL1(ref, counter: counter) {
            counter.delivered(by: .l1, bytes: Int(ref.sealedLength))
            return bytes
        }
        var fillsL2 = false
        if let l2 {
            switch try await l2.get(ref.id, length: Int(ref.sealedLength)) {
            case .hit(let sealed):
                if let bytes = try await openOrNil(ref, sealed, from: .l2) {
                    counter.delivered(by: .l2, bytes: sealed.readableBytes)
                    await fills.fill(ref.id, sealed, l2: false)
                    return bytes
                }
                counter.repaired(.l2)
                fillsL2 = true
            case .miss(let dropped):
                if dropped { counter.repaired(.l2) }
                fillsL2 = true
            case .unavailable:
                counter.failed(.l2)
            }
        }
        let sealed = try await fromL3(ref, generation: generation)
        let bytes = try await open(ref, sealed, object: L3Layout.chunk(ref.id, in: generation))
        counter.delivered(by: .l3, bytes: sealed.readableBytes)
        await fills.fill(ref.id, sealed, l2: fillsL2)
        return bytes
    }

    private func fromL1(_ ref: ChunkRef, counter: ReadCounter) async -> ByteBuffer? {
        guard let l1 else { return nil }
        do {
            return try await Deadline.run(configuration.l1Deadline, "L1") { [pool] in
                try await pool.runIfActive { try Self.readL1(l1, ref) }
            }
        } catch {
            // A damaged copy is a repair, anything else a tier that is away; either way the next tier is asked.
            if let error = error as? CacheError, error.code == .corrupt {
                counter.repaired(.l1)
            } else {
                counter.failed(.l1)
            }
            logger.debug("L1 could not give a chunk", metadata: ["chunk": "\(ref.id)", "error": "\(error)"])
            return nil
        }
    }

    /// Checks, decrypts and decompresses straight out of LMDB's map. Blocks.
    private static func readL1(_ l1: ChunkStore, _ ref: ChunkRef) throws -> ByteBuffer? {
        do {
            return try l1.withSealedPieces(ref.id, touch: true) { pieces in
                try PlainBuffer.make(ref) { try ChunkOpener.current.open(ref, pieces: pieces, into: $0) }
            }
        } catch let error as CacheError where error.code == .corrupt {
            l1.reportCorrupt(ref.id)
            throw error
        }
    }

    private func fromL3(_ ref: ChunkRef, generation: Generation) async throws -> ByteBuffer {
        let key = L3Layout.chunk(ref.id, in: generation)
        return try await l3Limit.withPermit {
            let object: StoredObject?
            do {
                object = try await Deadline.run(configuration.l3Deadline, "L3 object \(key)") { [l3] in
                    try await l3.get(key, limit: ChunkLimits.sealedBytes)
                }
            } catch let error as CacheError where error.code == .limitExceeded {
                // No chunk is that large: its bytes need not be looked at.
                throw Self.damaged(key, error)
            }
            guard let object else {
                throw CacheError(
                    .missing, "L3 object \(key) is gone: push the image again with --repair to restore it")
            }
            return object.body
        }
    }

    private func openOrNil(_ ref: ChunkRef, _ sealed: ByteBuffer, from tier: Tier) async throws -> ByteBuffer? {
        do {
            return try await pool.runIfActive { try PlainBuffer.open(ref, sealed) }
        } catch let error as CacheError where error.code == .corrupt {
            logger.warning(
                "a tier delivered a damaged chunk",
                metadata: ["tier": "\(tier.rawValue)", "chunk": "\(ref.id)"])
            return nil
        }
    }

    private func open(_ ref: ChunkRef, _ sealed: ByteBuffer, object: ObjectKey) async throws -> ByteBuffer {
        do {
            return try await pool.runIfActive { try PlainBuffer.open(ref, sealed) }
        } catch let error as CacheError where error.code == .corrupt {
            throw Self.damaged(object, error)
        }
    }

    private static func damaged(_ object: ObjectKey, _ cause: CacheError) -> CacheError {
        CacheError(
            .corrupt, "L3 object \(object) is damaged: push the image again with --repair to restore it", cause: cause)
    }
}
