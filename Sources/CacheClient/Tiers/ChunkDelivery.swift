internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Hands the plaintext of one chunk to its reader, if possible on the thread that has just opened it and has it in its
/// cache.
///
/// The threads belong to the reader: a disk that is slow to take what is delivered delays no other reader's chunks.
final class ChunkDelivery: Sendable {
    /// Where the chunk is opened and taken.
    let pool: NIOThreadPool
    private let take: @Sendable (ByteBuffer) throws -> Void
    private let outcome = NIOLockedValueBox<Result<Void, any Error>?>(nil)

    /// - Parameter take: may block.
    init(on pool: NIOThreadPool, _ take: @escaping @Sendable (ByteBuffer) throws -> Void) {
        self.pool = pool
        self.take = take
    }

    /// Delivers on the calling thread, which is one of the pool's. What `take` throws is kept for ``finish(_:)``: it
    /// does not concern others who wait for this chunk.
    func deliver(_ bytes: ByteBuffer) {
        let result = Result { try take(bytes) }
        outcome.withLockedValue { $0 = result }
    }

    /// Delivers what came without being opened here (from memory, from L1, or by another reader's flight), and throws
    /// what `take` threw.
    func finish(_ bytes: ByteBuffer) async throws {
        if outcome.withLockedValue({ $0 == nil }) {
            try await pool.runIfActive { self.deliver(bytes) }
        }
        try outcome.withLockedValue { $0 }?.get()
    }
}
