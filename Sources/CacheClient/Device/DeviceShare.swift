internal import CacheCore

/// What the devices of one cache have in common: the bounds of what they have under way and in memory.
struct DeviceShare: Sendable {
    /// Bytes of chunks that reads wait for.
    let reads: AsyncLimiter
    /// Chunks that are on their way ahead of streams.
    let ahead: AsyncLimiter
    let landed: LandedChunks
    /// What is fetched before anybody asks for it.
    let prefetch: PrefetchShare
    /// The most chunks ahead of one stream.
    let window: Int
    /// What L1 has of that; `nil` without an L1.
    let line: WorkLine<ChunkAhead>?

    /// 8 MiB, and as much again of sealed chunks that do not shrink.
    private static let readBytes = 16 * ChunkLimits.plainBytes

    init(_ configuration: CacheConfiguration, _ reader: TieredReader) {
        let window = configuration.readAhead
        self.window = window
        line = reader.l1?.line { DeviceAhead.read($0, $1, reader) }
        reads = AsyncLimiter("reads of devices", capacity: Self.readBytes, maximumWaiters: 16_384)
        ahead = AsyncLimiter("reads ahead", capacity: window, maximumWaiters: 0)
        // A stream's whole window, and what it and others have just come from.
        landed = LandedChunks(capacity: window + window / 4)
        prefetch = PrefetchShare(
            parallelism: configuration.prefetchParallelism, memoryBytes: configuration.memoryBytes / 2)
    }
}

extension CacheConfiguration {
    /// Chunks that are fetched at once before anybody asks for them: a quarter of what the tiers take at once is left
    /// to those who wait.
    fileprivate var prefetchParallelism: Int {
        let tiers = l2.isEmpty ? l3Concurrency : min(l2Connections, l3Concurrency)
        return max(min(readAhead, tiers * 3 / 4), 1)
    }
}
