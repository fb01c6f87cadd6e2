internal import CacheCore
internal import NIOCore

/// A tier above L3, as those see it who fill it. It may be full, slow or away, and costs them a bounded time.
protocol FillTarget: Sendable {
    /// Offers a sealed chunk. Returns once the tier has it, has refused it, or is late; throws only if the task is
    /// cancelled.
    /// - Parameter gap: with the lease under which the chunk is brought, which is given up unless the tier has settled
    ///   it.
    func put(_ id: ChunkID, _ sealed: ByteBuffer, _ gap: TierGap) async throws

    /// How long a reader may wait now until there is room for one more fill.
    /// - Parameter isLeased: whether others wait for the fill.
    func waitForFill(isLeased: Bool) -> Duration

    /// How long the end of all reads may wait for fills that are under way.
    /// - Parameter isLeased: whether others wait for some of them.
    func waitForEnd(isLeased: Bool) -> Duration

    /// Takes a wait for fills off the tier's budget.
    /// - Parameters:
    ///   - duration: of the wall clock.
    ///   - readers: that were under way meanwhile: each lost its part of it.
    ///   - isLeased: as above.
    func waitedForFill(_ duration: Duration, readers: Int, isLeased: Bool)
}
