internal import CacheCore
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Brings chunks up, top-down: memory, L1, L2, L3; one flight a chunk however many ask.
///
/// Every sealed chunk is checked against its name as it comes out of a tier. What fails is dropped there, counted, and fetched from the
/// next one; only when L3's copy is wrong or gone does the reader get an error. What a lower tier delivered fills those above it.
final class TieredReader: Sendable {
    private let memory: MemoryCache<ChunkRef>
    let l1: L1Tier?
    let lower: LowerTiers
    let load: ReadLoad
    private let hasWarned = Atomic<Bool>(false)
    let l3: L3Tier
    let pool: NIOThreadPool
    let fills: FillQueue
    /// Memory of sealed chunks on their way through, and of plaintext that is streamed.
    let buffers: BufferPool
    let configuration: CacheConfiguration
    let logger: Logger
    let deadlines: Deadlines
    private let flights = ChunkFlights()

    init(
        memory: MemoryCache<ChunkRef>, l1: L1Tier?, l2: L2Client?, load: ReadLoad, configuration: CacheConfiguration,
        pool: NIOThreadPool, buffers: BufferPool, deadlines: Deadlines, logger: Logger
    ) {
        self.memory = memory
        self.l1 = l1
        lower = LowerTiers(l2: l2, load: load, deadlines: deadlines, buffers: buffers)
        self.load = load
        l3 = L3Tier(configuration, deadlines: deadlines)
        self.pool = pool
        self.buffers = buffers
        self.deadlines = deadlines
        self.configuration = configuration
        self.logger = logger
        fills = FillQueue(
            l1: l1, l2: l2, bytes: configuration.fillBytes, load: load, deadlines: deadlines, buffers: buffers)
    }

    /// Whether L3 is so busy that a new image should not be opened now.
    var isOverloaded: Bool { l3.isOverloaded }

    var memoryUsage: (chunks: Int, bytes: Int) {
        let usage = memory.usage
        return (usage.chunks, usage.bytes)
    }

    /// The plaintext of a chunk if it is in memory. Never suspends; copies nothing.
    func cached(_ ref: ChunkRef, counter: ReadCounter) -> ByteBuffer? {
        if ref.isZero {
            counter.zeroChunk()
            return ZeroBuffer.shared.getSlice(at: 0, length: Int(ref.plainLength))
        }
        guard let bytes = memory.get(ref) else { return nil }
        counter.delivered(by: .memory, bytes: bytes.readableBytes)
        return bytes
    }

    /// The plaintext of a chunk: exactly `ref.plainLength` bytes, checked.
    ///
    /// - Parameters:
    ///   - generation: where L3 has it.
    ///   - use: whether it stays in memory, and whether the reader gives the buffer back to ``buffers``.
    ///   - isAhead: nobody waits for it yet.
    ///   - delivery: takes the plaintext before this returns.
    /// - Throws: ``CacheError``: `.corrupt` or `.missing` if L3 has no right copy, naming the object; `.timedOut`, `.overloaded`, `.io`.
    func chunk(
        _ ref: ChunkRef, generation: Generation, counter: ReadCounter, use: ChunkUse = .kept, isAhead: Bool = false,
        delivery: ChunkDelivery? = nil
    ) async throws -> ByteBuffer {
        let bytes = try await chunk(ref, generation, counter, use, isAhead, delivery)
        try await delivery?.finish(bytes)
        return bytes
    }

    private func chunk(
        _ ref: ChunkRef, _ generation: Generation, _ counter: ReadCounter, _ use: ChunkUse, _ isAhead: Bool,
        _ delivery: ChunkDelivery?
    ) async throws -> ByteBuffer {
        if let bytes = cached(ref, counter: counter) { return bytes }
        let (bytes, isLeader) = try await flights.join(.init(ref: ref, generation: generation)) {
            // A flight may have landed between the look at memory and this one.
            if let bytes = self.cached(ref, counter: counter) { return bytes }
            let bytes = try await self.descend(
                ref, generation, counter, isAhead: isAhead, buffers: use == .recycled ? self.buffers : nil, delivery)
            if use == .kept { self.memory.insert(ref, bytes) }
            return bytes
        }
        if !isLeader { counter.delivered(by: .memory, bytes: bytes.readableBytes) }
        return bytes
    }

    /// Waits until everything that was read has reached the tiers above, or they refused it.
    func drainFills() async {
        await fills.drain()
    }

    /// The same, but a tier that is slow is left behind with what it has.
    func endFills() async {
        await fills.close()
    }

    /// Fills that were dropped so far.
    var droppedFills: (l1: Int, l2: Int) { fills.dropped }

    // MARK: One flight

    /// - Parameter buffers: where the memory of the plaintext comes from; `nil` for a buffer of its exact length.
    private func descend(
        _ ref: ChunkRef, _ generation: Generation, _ counter: ReadCounter, isAhead: Bool, buffers: BufferPool?,
        _ delivery: ChunkDelivery?
    ) async throws -> ByteBuffer {
        if let l1 {
            switch try await l1.get(ref, buffers: buffers) {
            case .hit(let bytes):
                counter.delivered(by: .l1, bytes: Int(ref.sealedLength))
                return bytes
            case .miss(let dropped):
                if dropped { counter.repaired(.l1) }
            case .unavailable:
                counter.failed(.l1)
            }
        }
        let found = try await lower.read(ref.id, counter, isAhead: isAhead) {
            try await self.l3.chunk(ref.id, in: generation)
        } open: { sealed, tier in
            try await self.open(ref, sealed, from: tier, generation, buffers, delivery)
        }
        counter.delivered(by: found.tier, bytes: found.sealed.readableBytes)
        await fills.fill(ref.id, found.sealed, l2: found.isMissingInL2, isAhead: isAhead)
        return found.value
    }

    private func open(
        _ ref: ChunkRef, _ sealed: ByteBuffer, from tier: Tier, _ generation: Generation, _ buffers: BufferPool?,
        _ delivery: ChunkDelivery?
    ) async throws -> ByteBuffer {
        do {
            return try await open(ref, sealed, buffers, delivery)
        } catch let error as CacheError where error.code == .corrupt {
            guard tier == .l3 else {
                // All are counted; the first one is enough to have a look at the tier.
                let isFirst = !hasWarned.exchange(true, ordering: .relaxed)
                logger.log(
                    level: isFirst ? .warning : .debug, "a tier delivered a damaged chunk",
                    metadata: ["tier": "\(tier.rawValue)", "chunk": "\(ref.id)"])
                throw error
            }
            let object = L3Layout.chunk(ref.id, in: generation)
            throw CacheError(
                .corrupt, "L3 object \(object) is damaged: push the image again with --repair to restore it",
                cause: error)
        }
    }

    private func open(
        _ ref: ChunkRef, _ sealed: ByteBuffer, _ buffers: BufferPool?, _ delivery: ChunkDelivery?
    ) async throws -> ByteBuffer {
        try await (delivery?.pool ?? pool).runIfActive { [load] in
            let plain = try load.machine.measuring { try PlainBuffer.open(ref, sealed, from: buffers) }
            delivery?.deliver(plain)
            return plain
        }
    }
}
