internal import CacheBase
internal import CacheChunks
internal import CacheManifests
internal import CacheObjectStore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// One chunk of a layer on its way to L3, and its place in the layer.
struct SealedChunk: Sendable {
    let stream: LayerStream
    let slot: Int
    let ref: ChunkRef
    /// Empty for a zero chunk.
    let sealed: ByteBuffer
}

/// Seals plaintext chunks and makes sure that L3 has each of them. A chunk that L3 has already, or that is on its way
/// there, is not sent.
final class ChunkWriter: Sendable {
    /// What became of one chunk.
    struct Outcome: Sendable {
        let ref: ChunkRef
        /// Whether this call brought it to L3.
        let isNew: Bool
    }

    private let store: any ObjectStore
    private let generation: Generation
    private let pool: NIOThreadPool
    private let sealers: SealerPool
    private let buffers: BufferPool
    private let repair: Bool
    private let deadline: Duration
    private let deadlines: Deadlines
    private let state = NIOLockedValueBox(State())

    private struct State {
        /// Chunks that are being brought to L3 now; the same chunk from elsewhere waits for that.
        var underWay: [ChunkID: Task<Bool, any Error>] = [:]
        /// Chunks that L3 is known to have. It spares L3 the question whether it has them, so entries may be dropped at
        /// any time.
        var settled: Set<ChunkID> = []
    }

    /// How many IDs ``State/settled`` holds at most: 2 MiB of them, whatever the size of the image.
    private static let maximumSettled = 1 << 16

    init(
        store: any ObjectStore, generation: ActiveGeneration, options: PushOptions, pool: NIOThreadPool,
        buffers: BufferPool, deadlines: Deadlines
    ) {
        self.store = store
        self.generation = generation.generation
        self.pool = pool
        self.buffers = buffers
        self.repair = options.repair
        deadline = options.storeDeadline
        self.deadlines = deadlines
        sealers = SealerPool(salt: generation.salt, compression: options.compression)
    }

    /// Takes the next chunk and seals it, in one go on one thread of the pool: its plaintext is still in
    /// that core's cache.
    ///
    /// - Returns: `nil` after the last one.
    /// - Throws: what the source throws.
    func sealNext(of source: some PlainChunkSource) async throws -> SealedChunk? {
        try await pool.runCancellable { [sealers, buffers] in
            guard let chunk = try source.next() else { return nil }
            var sealed = buffers.take()
            let ref = sealers.withSealer { Self.seal(chunk.bytes, with: $0, into: &sealed) }
            buffers.give(chunk.bytes)
            return SealedChunk(stream: chunk.stream, slot: chunk.slot, ref: ref, sealed: sealed)
        }
    }

    /// Brings a chunk to L3 unless it is there.
    ///
    /// - Throws: ``CacheError`` of the store. After it returned, the chunk is durable.
    func write(_ chunk: consuming SealedChunk) async throws -> Outcome {
        defer { buffers.give(chunk.sealed) }
        let ref = chunk.ref
        if ref.isZero { return Outcome(ref: ref, isNew: false) }
        enum Turn {
            case settled
            case other(Task<Bool, any Error>)
            case own(Task<Bool, any Error>)
        }
        let sealed = chunk.sealed
        let turn = state.withLockedValue { state -> Turn in
            if state.settled.contains(ref.id) { return .settled }
            if let other = state.underWay[ref.id] { return .other(other) }
            let own = Task { try await self.settle(ref, sealed) }
            state.underWay[ref.id] = own
            return .own(own)
        }
        switch turn {
        case .settled: return Outcome(ref: ref, isNew: false)
        case .other(let task):
            _ = try await task.value
            return Outcome(ref: ref, isNew: false)
        case .own(let task):
            return Outcome(
                ref: ref,
                isNew: try await withTaskCancellationHandler {
                    try await task.value
                } onCancel: {
                    task.cancel()
                })
        }
    }

    private static func seal(_ plain: ByteBuffer, with sealer: ChunkSealer, into sealed: inout ByteBuffer) -> ChunkRef {
        plain.withUnsafeReadableBytes { bytes in
            var ref = ChunkRef.zero(plainLength: UInt32(bytes.count))
            sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) { room in
                ref = sealer.seal(bytes, into: room)
                return Int(ref.sealedLength)
            }
            return ref
        }
    }

    /// Puts the chunk unless a good copy is there; whether it was put.
    private func settle(_ ref: ChunkRef, _ sealed: ByteBuffer) async throws -> Bool {
        let key = L3Layout.chunk(ref.id, in: generation)
        let result: Result<Bool, any Error>
        do {
            result = .success(
                try await deadlines.run(deadline, "L3 object \(key)") { try await self.put(ref, key, sealed) })
        } catch { result = .failure(error) }
        state.withLockedValue { state in
            state.underWay[ref.id] = nil
            guard case .success = result else { return }
            if state.settled.count >= Self.maximumSettled { state.settled.removeAll(keepingCapacity: true) }
            state.settled.insert(ref.id)
        }
        return try result.get()
    }

    private func put(_ ref: ChunkRef, _ key: ObjectKey, _ sealed: ByteBuffer) async throws -> Bool {
        switch try await presence(of: ref, key) {
        case .good: return false
        case .none: return try await store.putIfAbsent(key, sealed) == .created
        case .damaged:
            // In one step, so that no reader finds it gone in between.
            if let damaged = try await store.head(key) {
                guard try await store.replace(key, sealed, expecting: damaged.version) == nil else { return true }
            }
            // Another push changed or removed it meanwhile; if that was another repair, the chunk is there.
            return try await store.putIfAbsent(key, sealed) == .created
        }
    }

    private enum Presence { case none, good, damaged }

    /// A copy of another length is damaged for certain; its bytes are read only where a repair was asked for.
    private func presence(of ref: ChunkRef, _ key: ObjectKey) async throws -> Presence {
        let length = Int(ref.sealedLength)
        // The last byte and the one behind it: one byte is there if the length is right. No `head`, which may hash the
        // whole object.
        guard let bytes = try await store.get(key, range: (repair ? 0 : length - 1)..<length + 1) else { return .none }
        guard repair else { return bytes.readableBytes == 1 ? .good : .damaged }
        return try await pool.runIfActive {
            bytes.withUnsafeReadableBytes { ChunkID(ofSealed: $0) } == ref.id ? .good : .damaged
        }
    }
}
