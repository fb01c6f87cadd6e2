internal import CacheBase
internal import CacheChunks
internal import CacheCrypto
internal import CacheFiles
internal import CacheStore
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// The two tiers inside L2: chunks in memory above the chunk store. Everything that blocks or hashes runs on threads of
/// a pool.
///
/// A chunk that is read is not hashed: who asked for it by its name checks what it gets, says so if that is damaged,
/// and then the copies here are examined (``DamageReports``). What is put is hashed.
final class ChunkTiers: Sendable {
    let memory: MemoryTier
    let store: ChunkStore
    private let threads: NIOThreadPool
    /// Copies in the store that were found damaged. A read that was under way meanwhile may have brought one of them.
    private let drops = Atomic<Int>(0)
    private let underWay = Atomic<Int>(0)

    /// What a read has brought.
    enum Found: Sendable {
        case chunk(ByteBuffer)
        case miss
        /// Parts of what is stored are missing; the store drops it.
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

    /// Whether threads read or hash for clients now.
    var isBusy: Bool { underWay.load(ordering: .relaxed) > 0 }

    /// Runs `body` on a thread.
    private func working<Value: Sendable>(
        on eventLoop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        underWay.add(1, ordering: .relaxed)
        let work = threads.runIfActive(eventLoop: eventLoop, body)
        work.whenComplete { [self] _ in underWay.subtract(1, ordering: .relaxed) }
        return work
    }

    /// Reads a chunk that is not in memory, unverified: one submission to the threads. It stays in memory from then on.
    func read(_ id: ChunkID, on eventLoop: any EventLoop) -> EventLoopFuture<Found> {
        working(on: eventLoop) { [self] in
            do {
                let dropped = drops.load(ordering: .sequentiallyConsistent)
                guard let chunk = try store.readUnverified(id, allocator: PieceMemory.allocator) else { return .miss }
                memory.insert(id, chunk, isVerified: false)
                if drops.load(ordering: .sequentiallyConsistent) != dropped { memory.forget(id) }
                return .chunk(chunk)
            } catch let error as CacheError where error.code == .corrupt {
                return .damaged
            }
        }
    }

    /// Hashes the copies of a chunk in both tiers, and drops those that are damaged. Blocks for the disk.
    func examine(_ id: ChunkID) throws -> StoredChunk {
        let stored = try examineStored(id)
        // After that: what a read has brought into memory meanwhile is either seen here, or forgotten by that read.
        let kept = memory.examine(id)
        if stored == .dropped || kept == .dropped { return .dropped }
        return stored == .absent ? kept : stored
    }

    /// The same for the store; where its copy is damaged, the one in memory, which may have come from there, is
    /// forgotten with it.
    func examineStored(_ id: ChunkID) throws -> StoredChunk {
        let stored = try store.examine(id)
        guard stored == .dropped else { return stored }
        drops.add(1, ordering: .sequentiallyConsistent)
        memory.forget(id)
        return .dropped
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
        eventLoop.makeFutureWithTask { [self] in
            let isThatChunk = try await working(on: eventLoop) { [memory] in
                guard body.withUnsafeReadableBytes({ Self.isChunk($0, id) }) else { return false }
                memory.insert(id, body, isVerified: true)
                return true
            }.get()
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
