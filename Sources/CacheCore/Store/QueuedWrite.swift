internal import CacheBase
internal import CacheChunks
internal import NIOCore

/// One request to the writer's thread, with the continuation that gets its outcome.
enum QueuedWrite {
    /// Stores sealed bytes under their name; without a continuation no caller waits for the outcome.
    case put(ChunkID, ByteBuffer, CheckedContinuation<PutOutcome, any Error>?)
    /// Removes a chunk whose bytes are damaged.
    case drop(ChunkID)
    /// Writes the reads that were counted in memory to the chunks' records.
    case flush(CheckedContinuation<Void, any Error>)

    /// Sealed bytes that it holds in memory while it waits.
    var bytes: Int {
        if case .put(_, let sealed, _) = self { sealed.readableBytes } else { 0 }
    }
}
