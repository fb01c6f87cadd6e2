internal import CacheChunks
internal import NIOConcurrencyHelpers

/// The sealers of one push: as many as threads ever sealed at once.
///
/// Unchecked, because a sealer serves one thread and is not Sendable: it is taken out under the lock, used by the one
/// thread that took it, and put back under the lock, so no two threads ever meet on it.
final class SealerPool: @unchecked Sendable {
    private let salt: GenerationSalt
    private let compression: ChunkCompression
    private let lock = NIOLock()
    private var idle: [ChunkSealer] = []

    init(salt: GenerationSalt, compression: ChunkCompression) {
        self.salt = salt
        self.compression = compression
    }

    func withSealer<R>(_ body: (ChunkSealer) throws -> R) rethrows -> R {
        let sealer = lock.withLock { idle.popLast() } ?? ChunkSealer(salt: salt, compression: compression)
        defer { lock.withLock { idle.append(sealer) } }
        return try body(sealer)
    }
}
