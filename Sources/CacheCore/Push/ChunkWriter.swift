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
    /// Chunks that this push has found or put already: a chunk that comes twice is neither asked for nor counted as new again.
    private let settled = NIOLockedValueBox<[ChunkID: Settling]>([:])

    private enum Settling {
        case underWay(Task<Bool, any Error>)
        case done
    }

    init(store: any ObjectStore, generation: ActiveGeneration, options: PushOptions, pool: NIOThreadPool) {
        self.store = store
        self.generation = generation.generation
        self.pool = pool
        self.repair = options.repair
        sealers = SealerPool(salt: generation.salt, compression: options.compression)
    }

    /// - Parameter plain: 1 to 512 KiB of plaintext.
    /// - Throws: ``CacheError`` of the store. After it returned, the chunk is durable.
    func write(_ plain: ByteBuffer) async throws -> Outcome {
        let (ref, sealed) = try await pool.runIfActive { [sealers] in
            sealers.withSealer { Self.seal(plain, with: $0) }
        }
        if ref.isZero { return Outcome(ref: ref, isNew: false) }
        let (other, own) = settled.withLockedValue { settled -> (Settling?, Task<Bool, any Error>?) in
            if let other = settled[ref.id] { return (other, nil) }
            let own = Task { try await self.settle(ref, sealed) }
            settled[ref.id] = .underWay(own)
            return (nil, own)
        }
        if case .underWay(let task) = other { _ = try await task.value }
        guard let own else { return Outcome(ref: ref, isNew: false) }
        let isNew = try await own.value
        settled.withLockedValue { $0[ref.id] = .done }
        return Outcome(ref: ref, isNew: isNew)
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
        if let present = try await store.head(key) {
            if try await isGood(ref, key, present) { return false }
            try await store.delete(key)
        }
        return try await store.putIfAbsent(key, sealed) == .created
    }

    /// A copy of another length is damaged for certain; its bytes are read only where a repair was asked for.
    private func isGood(_ ref: ChunkRef, _ key: ObjectKey, _ present: ObjectInfo) async throws -> Bool {
        guard present.size == Int(ref.sealedLength) else { return false }
        guard repair else { return true }
        guard let object = try await store.get(key, limit: ChunkLimits.sealedBytes) else { return false }
        return try await pool.runIfActive {
            object.body.withUnsafeReadableBytes { ChunkID(ofSealed: $0) } == ref.id
        }
    }
}
