internal import CacheCore
internal import NIOCore

/// Brings one sealed object from L2, or from L3 if L2 has no right copy of it or is too slow with it.
///
/// The daemon of the object is asked first as long as that is worth its time (``L2Client/plan(_:)``), else the next one
/// in order. When L2 has had its time, L3 is asked as well, and the first right answer counts (``TierRace``).
struct LowerTiers: Sendable {
    struct Found<Value> {
        let value: Value
        let sealed: ByteBuffer
        let tier: Tier
        /// That L2 has no right copy, if it said so.
        let gap: TierGap?
    }

    /// One object that is wanted.
    struct Wanted: Sendable {
        let id: ChunkID
        let counter: ReadCounter
        /// Whether a time that L2 was passed over is one that the reader of chunks is told of.
        let countsFailures: Bool
        let asking: L2Client.Asking
        /// Reads L3's copy.
        let l3: @Sendable () async throws -> ByteBuffer
    }

    let l2: L2Client?
    let load: ReadLoad
    let deadlines: Deadlines
    let buffers: BufferPool

    /// - Parameters:
    ///   - id: the object's name.
    ///   - countsFailures: whether a time that L2 was passed over is one that the reader of chunks is told of.
    ///   - isAhead: no reader waits for it yet.
    ///   - asking: whether L2 is to be filled with what L3 has.
    ///   - l3: reads L3's copy.
    ///   - open: makes of a copy what is wanted; throws `.corrupt` for one that is not what its name says.
    /// - Throws: what L3 and `open` of L3's copy throw, once no other tier has a right copy; `CancellationError`.
    func read<Value>(
        _ id: ChunkID, _ counter: ReadCounter, countsFailures: Bool = true, isAhead: Bool = false,
        asking: L2Client.Asking = .toFill, l3: @escaping @Sendable () async throws -> ByteBuffer,
        open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> Found<Value> {
        load.began(isAhead: isAhead)
        defer { load.ended(isAhead: isAhead) }
        guard let l2 else { return try await readL3(nil, l3, open) }
        let wanted = Wanted(id: id, counter: counter, countsFailures: countsFailures, asking: asking, l3: l3)
        let plan = l2.plan(id)
        var race = TierRace(tiers: self, l2: l2, wanted: wanted)
        do {
            guard plan.main != nil || plan.probe != nil else {
                if countsFailures { counter.failed(.l2) }
                return try await readL3(nil, l3, open)
            }
            return try await race.run(plan, open)
        } catch let error as CacheError {
            // That a daemon is slow, or has failed lately, counts for nothing where there is no other copy.
            for node in l2.passedOver(id, besides: race.asked) {
                if let found = try await insist(on: node, l2, wanted, open) { return found }
            }
            throw error
        }
    }

    /// Asks one daemon alone, whatever was thought of it; `nil` if it has no right copy.
    private func insist<Value>(
        on node: L2Node, _ l2: L2Client, _ wanted: Wanted, _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> Found<Value>? {
        let attempt = l2.insist(on: node)
        let answer = await l2.get(wanted.id, attempt, .toLook)
        let duration = answer.after
        if Task.isCancelled {
            l2.judge(attempt, .unread(isAnswer: false), after: duration)
            throw CancellationError()
        }
        guard case .hit(let sealed) = answer.answer else {
            if case .miss(dropped: true) = answer.answer { wanted.counter.repaired(.l2) }
            l2.judge(attempt, .unread(isAnswer: true), after: duration)
            return nil
        }
        do {
            let value = try await open(sealed, .l2)
            l2.judge(attempt, .right(bytes: sealed.readableBytes), after: duration)
            return Found(value: value, sealed: sealed, tier: .l2, gap: nil)
        } catch let error as CacheError where error.code == .corrupt {
            l2.judge(attempt, .wrong, after: duration)
            wanted.counter.repaired(.l2)
            _ = l2.report(wanted.id, attempt)
            return nil
        }
    }

    func readL3<Value>(
        _ gap: TierGap?, _ l3: () async throws -> ByteBuffer, _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> Found<Value> {
        let began = deadlines.time.now()
        let sealed = try await l3()
        l2?.commons.l3Answered(after: deadlines.time.now() - began)
        return Found(value: try await open(sealed, .l3), sealed: sealed, tier: .l3, gap: gap)
    }
}
