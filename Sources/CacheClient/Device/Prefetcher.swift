internal import CacheCore
internal import Logging
internal import NIOCore
internal import Synchronization

/// Fetches chunks of a device before anybody asks for them: first those of a trace, in its order, then all others if
/// all are wanted.
///
/// A bounded number is under way at once, and none begins while a read that somebody waits for is under way below L1.
/// What fits into half of the memory cache stays in it; the rest goes to L1 alone, and pushes nothing out of memory.
struct Prefetcher: Sendable {
    let chunks: DeviceChunks
    let touches: ChunkTouches
    /// Chunks under way at once.
    let parallelism: Int
    /// Bytes of plaintext that may go to the memory cache.
    let memoryBytes: Int
    let logger: Logger

    /// For how long a read that somebody waits for is stood back for.
    static let patience = Duration.milliseconds(100)
    /// Chunks in a row that could not be had, after which the tiers are left to those who need them.
    static let maximumFailures = 8

    private final class Progress: Sendable {
        let memoryLeft: Atomic<Int>
        let failures = Atomic<Int>(0)

        init(_ memoryBytes: Int) { memoryLeft = Atomic(memoryBytes) }
    }

    /// Returns when all is done, or the task is cancelled.
    func run(_ trace: ImageTrace?, all: Bool) async {
        let progress = Progress(memoryBytes)
        let map = chunks.map
        await withTaskGroup(of: Void.self) { group in
            var underWay = 0
            /// False once there is no use in going on.
            func fetch(_ place: DeviceMap.Place) async -> Bool {
                let number = map.number(of: place)
                if map.ref(place).isZero || !touches.beginPrefetch(number) { return true }
                if underWay == parallelism {
                    await group.next()
                    underWay -= 1
                }
                await chunks.reader.load.demand.standBack(within: Self.patience, chunks.reader.deadlines)
                guard !Task.isCancelled, progress.failures.load(ordering: .relaxed) < Self.maximumFailures else {
                    touches.undoPrefetch(number)
                    return false
                }
                underWay += 1
                group.addTask { await self.fetch(place, number, progress) }
                return true
            }
            for number in trace?.chunks ?? [] where !(await fetch(map.place(of: Int(number)))) { return }
            guard all else { return }
            for index in 0..<map.stretchCount {
                let (region, slots) = map.places(ofStretch: index)
                for slot in slots where !(await fetch(DeviceMap.Place(region: region, slot: slot))) { return }
            }
        }
    }

    private func fetch(_ place: DeviceMap.Place, _ number: Int, _ progress: Progress) async {
        let length = Int(chunks.map.ref(place).plainLength)
        let use: ChunkUse =
            progress.memoryLeft.subtract(length, ordering: .relaxed).newValue >= 0 ? .kept : .recycled
        do {
            if use == .recycled {
                guard let l1 = chunks.reader.l1, try await !l1.has(chunks.map.ref(place).id) else {
                    return touches.undoPrefetch(number)
                }
            }
            let bytes = try await chunks.reader.chunk(chunks.request(place, use: use, isAhead: true))
            if use == .recycled { chunks.reader.buffers.give(bytes) }
            progress.failures.store(0, ordering: .relaxed)
        } catch {
            touches.undoPrefetch(number)
            if progress.failures.add(1, ordering: .relaxed).newValue == Self.maximumFailures {
                logger.debug("prefetch is given up", metadata: ["error": "\(error)"])
            }
        }
    }
}
