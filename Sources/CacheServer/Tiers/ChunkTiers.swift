internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
internal import CacheStore
internal import NIOCore
internal import NIOPosix

/// The two tiers inside L2: chunks in memory above the chunk store. Everything that blocks or hashes runs on threads of
/// a pool.
final class ChunkTiers: Sendable {
    let memory: MemoryTier
    let store: ChunkStore
    private let threads: NIOThreadPool

    /// What a read has brought.
    enum Found: Sendable {
        case chunk(ByteBuffer)
        case miss
        /// The stored bytes do not have the hash that is their name; the store drops them.
        case damaged
    }

    /// What became of a chunk that was put.
    enum Taken: Sendable {
        case stored
        case alreadyPresent
        /// The bytes do not have the hash that is the name; nothing is stored.
        case notThatChunk
    }

    init(memory: MemoryTier, store: ChunkStore, threads: NIOThreadPool) {
        self.memory = memory
        self.store = store
        self.threads = threads
    }

    /// Reads a chunk that is not in memory: one submission to the threads. The store has verified it, so memory may
    /// keep it.
    func read(_ id: ChunkID, on eventLoop: any EventLoop) -> EventLoopFuture<Found> {
        threads.runIfActive(eventLoop: eventLoop) { [memory, store] in
            do {
                guard let chunk = try store.read(id, touch: true) else { return .miss }
                memory.insert(id, chunk)
                return .chunk(chunk)
            } catch let error as CacheError where error.code == .corrupt {
                return .damaged
            }
        }
    }

    /// The length in bytes of a chunk in the store; `nil` for a miss. The chunk itself is not read, so it is not
    /// verified.
    func length(of id: ChunkID, on eventLoop: any EventLoop) -> EventLoopFuture<Int?> {
        threads.runIfActive(eventLoop: eventLoop) { [store] in
            do {
                return try store.length(of: id)
            } catch let error as CacheError where error.code == .corrupt {
                return nil  // being dropped: a GET would not find it either
            }
        }
    }

    /// Verifies and stores a chunk; the future succeeds after the commit that holds it.
    ///
    /// A verified chunk is kept in memory even if the store cannot take it: later GETs can be served, and the client
    /// still learns that the chunk is not stored.
    /// - Parameter inMemory: is called once the chunk can be read from memory, if that keeps it; on any thread.
    func put(
        _ id: ChunkID, _ body: ByteBuffer, on eventLoop: any EventLoop, inMemory: @escaping @Sendable () -> Void
    ) -> EventLoopFuture<Taken> {
        eventLoop.makeFutureWithTask { [memory, store, threads] in
            let isThatChunk = try await threads.runIfActive {
                guard body.withUnsafeReadableBytes({ Self.isChunk($0, id) }) else { return false }
                memory.insert(id, body)
                return true
            }
            guard isThatChunk else { return .notThatChunk }
            if memory.holds(id) { inMemory() }
            return switch try await store.put(id, body) {
            case .created: .stored
            case .alreadyPresent: .alreadyPresent
            }
        }
    }

    /// Whether `bytes` are the sealed chunk of that name. Bytes that are all zero never are, whatever their hash: no
    /// sealed chunk looks like that, but holes in files and faulty proxies do.
    private static func isChunk(_ bytes: UnsafeRawBufferPointer, _ id: ChunkID) -> Bool {
        !bytes.isAllZero && ChunkID(ofSealed: bytes) == id
    }

    /// Answers which of the ids in `list`, 32 bytes each, are not in the store: bit `i % 8` (the lowest is 0) of byte
    /// `i / 8` is 1 if id `i` is missing; bits beyond the last id are 0.
    func missing(_ list: ByteBuffer, on eventLoop: any EventLoop) -> EventLoopFuture<ByteBuffer> {
        threads.runIfActive(eventLoop: eventLoop) { [store] in
            let answer = try store.missing(Self.ids(in: list))
            var bits = [UInt8](repeating: 0, count: (answer.count + 7) / 8)
            for (index, isMissing) in answer.enumerated() where isMissing { bits[index / 8] |= 1 << (index % 8) }
            return ByteBuffer(bytes: bits)
        }
    }

    private static func ids(in list: ByteBuffer) -> [ChunkID] {
        list.withUnsafeReadableBytes { bytes in
            stride(from: 0, to: bytes.count, by: SHA256Digest.byteCount).compactMap { start in
                SHA256Digest(bytes: .init(rebasing: bytes[start..<start + SHA256Digest.byteCount])).map(ChunkID.init)
            }
        }
    }
}
