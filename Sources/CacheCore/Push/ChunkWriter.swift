internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Seals plaintext chunks and makes sure that L3 has each, once, whoever brought it there.
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
    private let repair: Bool
    private let deadline: Duration
    private let deadlines: Deadlines
    private let state = NIOLockedValueBox(State())

    private struct State {
        /// Chunks that are being brought to L3 now; the same chunk from elsewhere waits for that.
        var underWay: [ChunkID: Task<Bool, any Error>] = [:]
        /// Chunks that L3 is known to have. Only spares questions to L3, so it may forget.
        var settled: Set<ChunkID> = []
    }

    /// 2 MiB of names, whatever the size of the image.
    private static let mostSettled = 1 << 16

    init(
        store: any ObjectStore, generation: ActiveGeneration, options: PushOptions, pool: NIOThreadPool,
        deadlines: Deadlines
    ) {
        self.store = store
        self.generation = generation.generation
        self.pool = pool
        self.repair = options.repair
        deadline = options.storeDeadline
        self.deadlines = deadlines
        sealers = SealerPool(salt: generation.salt, compression: options.compression)
    }

    /// - Parameter plain: 1 to 512 KiB of plaintext.
    /// - Throws: ``CacheError`` of the store. After it returned, the chunk is durable.
    func write(_ plain: ByteBuffer) async throws -> Outcome {
        let (ref, sealed) = try await pool.runIfActive { [sealers] in
            sealers.withSealer { Self.seal(plain, with: $0) }
        }
        if ref.isZero { return Outcome(ref: ref, isNew: false) }
        enum Turn {
            case settled
            case other(Task<Bool, any Error>)
            case own(Task<Bool, any Error>)
        }
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

    private static func seal(_ plain: ByteBuffer, with sealer: ChunkSealer) -> (ChunkRef, ByteBuffer) {
        plain.withUnsafeReadableBytes { bytes in
            var sealed = ByteBufferAllocator().buffer(capacity: bytes.count)
            var ref: ChunkRef?
            sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.count) { room in
                let made = sealer.seal(bytes, into: room)
                ref = made
                return Int(made.sealedLength)
            }
            return (ref ?? .zero(plainLength: UInt32(bytes.count)), sealed)
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
            if state.settled.count >= Self.mostSettled { state.settled.removeAll(keepingCapacity: true) }
            state.settled.insert(ref.id)
        }
        return try result.get()
    }

    private func put(_ ref: ChunkRef, _ key: ObjectKey, _ sealed: ByteBuffer) async throws -> Bool {
        switch try await presence(of: ref, key) {
        case .good: return false
        case .none: return try await store.putIfAbsent(key, sealed) == .created
        case .damaged:
            // In one step, so that nobody finds it gone in between.
            if let damaged = try await store.head(key) {
                guard try await store.replace(key, sealed, expecting: damaged.version) == nil else { return true }
            }
            // Somebody else was at it; if that was another repair, it is done.
            return try await store.putIfAbsent(key, sealed) == .created
        }
    }

    private enum Presence { case none, good, damaged }

    /// A copy of another length is damaged for certain; its bytes are read only where a repair was asked for.
    private func presence(of ref: ChunkRef, _ key: ObjectKey) async throws -> Presence {
        let length = Int(ref.sealedLength)
        // The last byte and the one behind it: one byte is there if the length is right. No `head`, which may hash the whole object.
        guard let bytes = try await store.get(key, range: (repair ? 0 : length - 1)..<length + 1) else { return .none }
        guard repair else { return bytes.readableBytes == 1 ? .good : .damaged }
        return try await pool.runIfActive {
            bytes.withUnsafeReadableBytes { ChunkID(ofSealed: $0) } == ref.id ? .good : .damaged
        }
    }
}
