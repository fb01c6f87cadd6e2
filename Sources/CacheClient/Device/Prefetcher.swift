internal import CacheCore
internal import Logging
internal import NIOCore

/// Fetches chunks of a device before anybody asks for them: first those of a trace, in its order, then all others if
/// all are wanted.
///
/// All devices of the cache share what that may take (``PrefetchShare``). What a trace names stays in memory as far as
/// there is room for it; the rest goes to L1 alone, sealed as it is, and pushes nothing out of memory.
struct Prefetcher: Sendable {
    let chunks: DeviceChunks
    let touches: ChunkTouches
    let share: PrefetchShare
    let logger: Logger

    /// Chunks in a row that could not be had, after which the tiers are left to those who need them.
    static let maximumFailures = 8
    /// Chunks that L1 is asked for at once.
    private static let batch = 256

    private var reader: TieredReader { chunks.reader }

    /// Returns when all is done, or the task is cancelled.
    func run(_ trace: ImageTrace?, all: Bool) async {
        let progress = PrefetchProgress(share)
        if let trace { await fetch(trace, progress) }
        guard all, !Task.isCancelled else { return }
        // All are looked at again.
        _ = progress.takeFailed()
        if let l1 = reader.l1 { await fillL1(l1, progress) } else { await fillMemory(progress) }
        guard !Task.isCancelled, let loss = progress.loss else { return }
        logger.warning(
            "not all of an image could be fetched ahead: what is missing comes when it is read",
            metadata: ["chunks": "\(loss.chunks)", "error": "\(loss.error)"])
    }

    // MARK: What is fetched

    private func fetch(_ trace: ImageTrace, _ progress: PrefetchProgress) async {
        await withDiscardingTaskGroup { group in
            for number in trace.chunks where isStored(number) && touches.beginPrefetch(Int(number)) {
                guard await begin(isTraced: true, progress) else { return touches.undoPrefetch(Int(number)) }
                let isKept = progress.takeMemory(Int(ref(number).plainLength))
                group.addTask {
                    defer { share.end(isTraced: true) }
                    await attempt(number, isCounted: true, progress) {
                        if isKept { return try await fetchIntoMemory(number) }
                        guard reader.l1 != nil else { return false }
                        return try await fetchIntoL1(number)
                    }
                }
            }
        }
        // Whoever fetches from now on may use it.
        progress.giveMemory()
    }

    /// Until L1 has the whole image. What readers have come to, and what failed, is looked at once more in the end:
    /// fills of readers may be dropped.
    private func fillL1(_ l1: L1Tier, _ progress: PrefetchProgress) async {
        let later = await fillL1(l1, inDeviceOrder(), isLast: false, progress)
        guard !Task.isCancelled, !progress.isGivenUp else { return }
        _ = await fillL1(l1, later + progress.takeFailed(), isLast: true, progress)
    }

    /// - Returns: what readers, or the trace, have come to and L1 lacks nevertheless; nothing if it is the last time.
    private func fillL1(
        _ l1: L1Tier, _ numbers: [UInt32], isLast: Bool, _ progress: PrefetchProgress
    ) async -> [UInt32] {
        await withDiscardingTaskGroup { group in
            var later: [UInt32] = []
            for start in stride(from: 0, to: numbers.count, by: Self.batch) {
                let batch = numbers[start..<min(start + Self.batch, numbers.count)]
                for number in await missing(batch, l1, progress) {
                    let isCounted = touches.beginPrefetch(Int(number))
                    if !isCounted, !isLast {
                        later.append(number)
                        continue
                    }
                    guard await begin(isTraced: false, progress) else {
                        if isCounted { touches.undoPrefetch(Int(number)) }
                        return later
                    }
                    group.addTask {
                        defer { share.end(isTraced: false) }
                        await attempt(number, isCounted: isCounted, progress) { try await fetchIntoL1(number) }
                    }
                }
            }
            return later
        }
    }

    /// Without an L1: as much as may stay in memory.
    private func fillMemory(_ progress: PrefetchProgress) async {
        await withDiscardingTaskGroup { group in
            for number in inDeviceOrder() where touches.beginPrefetch(Int(number)) {
                guard progress.takeMemory(Int(ref(number).plainLength)), await begin(isTraced: false, progress) else {
                    return touches.undoPrefetch(Int(number))
                }
                group.addTask {
                    defer { share.end(isTraced: false) }
                    await attempt(number, isCounted: true, progress) { try await fetchIntoMemory(number) }
                }
            }
        }
        progress.giveMemory()
    }

    // MARK: One chunk

    /// Waits for a turn; false once there is no use in going on.
    private func begin(isTraced: Bool, _ progress: PrefetchProgress) async -> Bool {
        guard !progress.isGivenUp else { return false }
        do {
            try await share.begin(isTraced: isTraced, standingBackAt: reader.load.demand, reader.deadlines)
        } catch {
            // The device is being closed.
            return false
        }
        guard progress.isGivenUp else { return true }
        share.end(isTraced: isTraced)
        return false
    }

    /// - Parameters:
    ///   - isCounted: whether the chunk counts as one that was fetched ahead, unless it was there already.
    ///   - fetch: whether it had to be brought.
    private func attempt(
        _ number: UInt32, isCounted: Bool, _ progress: PrefetchProgress, _ fetch: () async throws -> Bool
    ) async {
        do {
            let isBrought = try await fetch()
            progress.succeeded()
            if isCounted, !isBrought { touches.undoPrefetch(Int(number)) }
        } catch {
            if isCounted { touches.undoPrefetch(Int(number)) }
            if Task.isCancelled { return }
            if progress.failed(number, error) {
                logger.debug("prefetch is given up", metadata: ["error": "\(error)"])
            }
        }
    }

    private func fetchIntoMemory(_ number: UInt32) async throws -> Bool {
        _ = try await reader.chunk(chunks.request(place(number), isAhead: true))
        return true
    }

    private func fetchIntoL1(_ number: UInt32) async throws -> Bool {
        switch try await reader.bringToL1(chunks.request(place(number), use: .recycled, isAhead: true)) {
        case .present: return false
        case .brought: return true
        case .refused: throw CacheError(.overloaded, "L1 does not take chunk \(ref(number).id) in time")
        }
    }

    /// Those that L1 lacks; none if it does not say.
    private func missing(
        _ numbers: ArraySlice<UInt32>, _ l1: L1Tier, _ progress: PrefetchProgress
    ) async -> [UInt32] {
        guard !progress.isGivenUp, let isMissing = try? await l1.missing(numbers.map { ref($0).id }) else {
            if !Task.isCancelled { progress.lost(numbers.count, CacheError(.timedOut, "L1 does not answer in time")) }
            return []
        }
        return zip(numbers, isMissing).filter(\.1).map(\.0)
    }

    /// The numbers of all chunks that a reader of the device can touch, each once.
    private func inDeviceOrder() -> [UInt32] {
        var isListed = [Bool](repeating: false, count: chunks.map.chunkCount)
        var numbers: [UInt32] = []
        for index in 0..<chunks.map.stretchCount {
            let (region, slots) = chunks.map.places(ofStretch: index)
            for slot in slots {
                let number = chunks.map.number(of: DeviceMap.Place(region: region, slot: slot))
                guard !isListed[number], isStored(UInt32(number)) else { continue }
                isListed[number] = true
                numbers.append(UInt32(number))
            }
        }
        return numbers
    }

    private func isStored(_ number: UInt32) -> Bool { !ref(number).isZero }

    private func place(_ number: UInt32) -> DeviceMap.Place { chunks.map.place(of: Int(number)) }

    private func ref(_ number: UInt32) -> ChunkRef { chunks.map.ref(place(number)) }
}
