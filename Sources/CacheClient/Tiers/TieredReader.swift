internal import CacheCore
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Brings chunks up, top-down: memory, L1, L2, L3; one flight for each chunk, however many ask.
///
/// Every sealed chunk is checked against its name as it comes out of a tier. What fails is dropped there, counted, and
/// fetched from the next one; only when L3's copy is wrong or gone does the reader get an error. What a lower tier
/// delivered fills those above it.
final class TieredReader: Sendable {
    let memory: MemoryCache<ChunkRef>
    let l1: L1Tier?
    let lower: LowerTiers
    let l3: L3Tier
    let fills: Backfill
    let pool: NIOThreadPool
    /// Memory of sealed chunks on their way through, and of plaintext that is streamed.
    let buffers: BufferPool
    let configuration: CacheConfiguration
    let logger: Logger
    let flights = ChunkFlights()
    private let hasWarned = Atomic<Bool>(false)

    init(
        memory: MemoryCache<ChunkRef>, l1: L1Tier?, l2: L2Client?, load: ReadLoad, configuration: CacheConfiguration,
        pool: NIOThreadPool, buffers: BufferPool, deadlines: Deadlines, logger: Logger
    ) {
        self.memory = memory
        self.l1 = l1
        lower = LowerTiers(l2: l2, load: load, deadlines: deadlines, buffers: buffers)
        l3 = L3Tier(configuration.l3Settings, deadlines: deadlines)
        fills = Backfill(
            l1: l1, l2: l2, bytes: configuration.fillBytes, load: load, deadlines: deadlines, buffers: buffers)
        self.pool = pool
        self.buffers = buffers
        self.configuration = configuration
        self.logger = logger
    }

    var load: ReadLoad { lower.load }
    var deadlines: Deadlines { lower.deadlines }

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

    /// The plaintext of a chunk: exactly `plainLength` bytes of its ref, checked.
    ///
    /// - Throws: ``CacheError``: `.corrupt` or `.missing` if L3 has no right copy, naming the object; `.timedOut`,
    ///   `.overloaded`, `.io`.
    func chunk(_ request: ChunkRequest) async throws -> ByteBuffer {
        let bytes = try await fetch(request)
        try await request.delivery?.finish(bytes)
        return bytes
    }

    private func fetch(_ request: ChunkRequest) async throws -> ByteBuffer {
        if let bytes = cached(request.ref, counter: request.counter) { return bytes }
        let (bytes, isLeader) = try await flights.all.join(request.key) {
            // A flight may have landed between the look at memory and this one.
            if let bytes = self.cached(request.ref, counter: request.counter) { return bytes }
            let bytes = try await self.descend(request)
            if request.use == .kept { self.memory.insert(request.ref, bytes) }
            return bytes
        }
        if !isLeader { request.counter.delivered(by: .memory, bytes: bytes.readableBytes) }
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

    private func descend(_ request: ChunkRequest) async throws -> ByteBuffer {
        let ref = request.ref
        let began = deadlines.time.now()
        if let l1 {
            switch try await l1.get(ref, buffers: plainBuffers(for: request)) {
            case .hit(let bytes):
                request.counter.delivered(by: .l1, bytes: Int(ref.sealedLength))
                note(request, .l1, since: began)
                return bytes
            case .miss(let dropped):
                if dropped { request.counter.repaired(.l1) }
            case .unavailable:
                request.counter.failed(.l1)
            }
        }
        if let bytes = try await onItsWay(request) { return bytes }
        let found = try await lower.read(ref.id, request.counter, isAhead: request.isAhead) { [l3] in
            try await l3.chunk(ref.id, in: request.generation)
        } open: { sealed, tier in
            try await self.checking(tier, for: request) { try await self.open(sealed, for: request) }
        }
        request.counter.delivered(by: found.tier, bytes: found.sealed.readableBytes)
        note(request, found.tier, since: began)
        await fills.fill(ref.id, found.sealed, l2: found.gap, isAhead: request.isAhead)
        return found.value
    }

    /// Counts how long the reader waited. For what is fetched ahead nobody waits.
    func note(_ request: ChunkRequest, _ tier: Tier, since began: Duration) {
        guard !request.isAhead else { return }
        request.counter.took(tier, deadlines.time.now() - began)
    }

    /// Where the memory of the plaintext comes from; `nil` for a buffer of its exact length.
    private func plainBuffers(for request: ChunkRequest) -> BufferPool? {
        request.use == .recycled ? buffers : nil
    }

    /// Says of what a tier delivered damaged which tier, or which object of L3, that was.
    func checking<Value>(
        _ tier: Tier, for request: ChunkRequest, _ check: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await check()
        } catch let error as CacheError where error.code == .corrupt {
            guard tier == .l3 else {
                // All are counted; the first one is enough to have a look at the tier.
                let isFirst = !hasWarned.exchange(true, ordering: .relaxed)
                logger.log(
                    level: isFirst ? .warning : .debug, "a tier delivered a damaged chunk",
                    metadata: ["tier": "\(tier.rawValue)", "chunk": "\(request.ref.id)"])
                throw error
            }
            let object = L3Layout.chunk(request.ref.id, in: request.generation)
            throw CacheError(
                .corrupt, "L3 object \(object) is damaged: push the image again with --repair to restore it",
                cause: error)
        }
    }

    func open(_ sealed: ByteBuffer, for request: ChunkRequest) async throws -> ByteBuffer {
        if let line = request.line { return try await line.open(request.ref, sealed) }
        let delivery = request.delivery
        return try await (delivery?.pool ?? pool).runIfActive { [load, buffers = plainBuffers(for: request)] in
            let plain = try load.machine.measuring { try PlainBuffer.open(request.ref, sealed, from: buffers) }
            delivery?.deliver(plain)
            return plain
        }
    }
}
