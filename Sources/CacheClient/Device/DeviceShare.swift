internal import CacheCore

/// What the devices of one cache have in common: the bounds of what they have under way and in memory.
struct DeviceShare: Sendable {
    /// Bytes of chunks that reads wait for.
    let reads: AsyncLimiter
    /// Chunks that are on their way ahead of streams.
    let ahead: AsyncLimiter
    let landed: LandedChunks
    /// The most chunks ahead of one stream.
    let window: Int

    /// 16 MiB.
    private static let readBytes = 32 * ChunkLimits.plainBytes

    init(window: Int) {
        self.window = window
        reads = AsyncLimiter("reads of devices", capacity: Self.readBytes, maximumWaiters: 16_384)
        ahead = AsyncLimiter("reads ahead", capacity: window, maximumWaiters: 0)
        // A stream's whole window, and what it has just come from.
        landed = LandedChunks(capacity: window + window / 2)
    }
}
