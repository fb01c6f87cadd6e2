internal import CacheCore
internal import Synchronization

/// What all devices of a cache fetch before anybody asks for it, taken together: a bounded number of chunks, and of
/// bytes that may stay in memory.
///
/// Devices take turns, a chunk each; those that go by a trace before those that want all of an image. Of these one at a
/// time begins, and they leave a quarter of the places free, as what they wait for may hang. Nothing begins while a
/// read that somebody waits for is under way below L1.
final class PrefetchShare: Sendable {
    /// Devices that have all of an image fetched.
    private let turn = AsyncLimiter("devices that fetch all ahead", capacity: 1, maximumWaiters: .max)
    /// Their chunks.
    private let ofWholeImages: AsyncLimiter
    /// All chunks.
    private let underWay: AsyncLimiter
    /// Bytes of plaintext that may still go to the memory cache.
    private let memoryLeft: Atomic<Int>

    /// For how long a read that somebody waits for is stood back for.
    static let patience = Duration.milliseconds(100)

    /// - Parameters:
    ///   - parallelism: chunks under way at once.
    ///   - memoryBytes: of plaintext that those who fetch at the same time may put into the memory cache.
    init(parallelism: Int, memoryBytes: Int) {
        underWay = AsyncLimiter("chunks that are fetched ahead", capacity: parallelism, maximumWaiters: .max)
        ofWholeImages = AsyncLimiter(
            "chunks of whole images", capacity: parallelism - parallelism / 4, maximumWaiters: .max)
        memoryLeft = Atomic(memoryBytes)
    }

    /// Waits until a chunk may begin; each must be followed by ``end(isTraced:)``. A device waits for one chunk at a
    /// time.
    /// - Parameter isTraced: whether a trace names the chunk.
    /// - Throws: `CancellationError` alone.
    func begin(isTraced: Bool, standingBackAt demand: DemandGate, _ deadlines: Deadlines) async throws {
        guard !isTraced else { return try await start(isTraced: true, demand, deadlines) }
        try await turn.acquire()
        defer { turn.release() }
        try await ofWholeImages.acquire()
        do { try await start(isTraced: false, demand, deadlines) } catch {
            ofWholeImages.release()
            throw error
        }
    }

    private func start(isTraced: Bool, _ demand: DemandGate, _ deadlines: Deadlines) async throws {
        try await underWay.acquire(goesFirst: isTraced)
        await demand.standBack(within: Self.patience, deadlines)
        guard Task.isCancelled else { return }
        underWay.release()
        throw CancellationError()
    }

    /// A chunk is no longer under way.
    func end(isTraced: Bool) {
        underWay.release()
        if !isTraced { ofWholeImages.release() }
    }

    /// Devices that wait for a chunk to begin, those that stand back left out.
    var waiting: Int { turn.waiting + ofWholeImages.waiting + underWay.waiting }

    /// Takes room in the memory cache, if there is some.
    func takeMemory(_ bytes: Int) -> Bool {
        if memoryLeft.subtract(bytes, ordering: .relaxed).newValue >= 0 { return true }
        giveMemory(bytes)
        return false
    }

    /// For those who fetch from now on: the memory cache knows what it still needs.
    func giveMemory(_ bytes: Int) { memoryLeft.add(bytes, ordering: .relaxed) }
}
