internal import NIOCore

/// Chunks on their way, so that each comes once however many ask.
struct ChunkFlights: Sendable {
    /// By tasks, through all tiers.
    let all: SingleFlight<ChunkRequest.Key, ByteBuffer> = SingleFlight()
    /// From below L1 into L1, for those who fetch ahead: until L1 has the chunk.
    let toL1: SingleFlight<ChunkRequest.Key, TieredReader.Keeping> = SingleFlight()
    /// The first half of these, in which readers join.
    let sealed: SingleFlight<ChunkRequest.Key, SealedChunk> = SingleFlight()
    /// Out of L1, on threads of their readers.
    let atOnce: ThreadFlights<ChunkRequest.Key, ByteBuffer> = ThreadFlights()
}

/// A chunk that a tier below L1 delivered, checked against its name and not opened.
struct SealedChunk: Sendable {
    let bytes: ByteBuffer
    /// That L2 has no right copy, if it said so.
    let gap: TierGap?
}
