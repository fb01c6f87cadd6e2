internal import NIOCore

/// Chunks on their way, so that each comes once however many ask.
struct ChunkFlights: Sendable {
    /// By tasks, through all tiers.
    let all = SingleFlight<ChunkRequest.Key, ByteBuffer>()
    /// Out of L1, on threads of their readers.
    let atOnce = ThreadFlights<ChunkRequest.Key, ByteBuffer>()
}
