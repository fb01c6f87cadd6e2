internal import CacheCore
internal import NIOCore

/// A tier above L3, as those see it who fill it. It may be full, slow or away, and costs them a bounded time.
protocol FillTarget: Sendable {
    /// Offers a sealed chunk. Returns once the tier has it, has refused it, or is late; throws only if the task is
    /// cancelled.
    /// - Parameter gap: that the tier had. Its lease is given up, unless the tier has settled it.
    func put(_ id: ChunkID, _ sealed: ByteBuffer, _ gap: TierGap?) async throws

    /// How long a reader may wait now until there is room for one more fill.
    var waitForFill: Duration { get }

    /// How long the end of all reads may wait for fills that are under way.
    var waitForEnd: Duration { get }

    /// Takes a wait for fills off the tier's budget.
    /// - Parameters:
    ///   - duration: of the wall clock.
    ///   - readers: that were under way meanwhile: each lost its part of it.
    func waitedForFill(_ duration: Duration, readers: Int)
}
