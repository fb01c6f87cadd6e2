internal import CacheCore
internal import NIOCore

/// Brings one sealed object from L2, or from L3 if L2 has no right copy of it or is too slow with it.
///
/// L2 is asked first as long as that is worth its time (``L2Client/admit(_:)``). When it has had that time, L3 is asked
/// as well, and the first right answer counts; a request that is late goes on, and only tells how L2 is.
struct LowerTiers: Sendable {
    struct Found<Value> {
        let value: Value
        let sealed: ByteBuffer
        let tier: Tier
        /// That L2 has no right copy, if it said so.
        let gap: TierGap?
    }

    private enum Arrival: Sendable {
        case l2(L2Client.Answer)
        case l3(Result<ByteBuffer, any Error>)
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
        guard let attempt = l2.admit(id) else {
            if countsFailures { counter.failed(.l2) }
            do { return try await readL3(nil, l3, open) } catch let error as CacheError {
                // That it is slow, or has failed lately, counts for nothing where there is no other.
                guard let found = try await insist(l2, id, counter, open) else { throw error }
                return found
            }
        }
        return try await Race(
            tiers: self, l2: l2, attempt: attempt, id: id, asking: asking, counter: counter,
            countsFailures: countsFailures, l3: l3
        ).run(open)
    }

    /// Asks L2 alone, whatever was thought of it; `nil` if it has no right copy.
    private func insist<Value>(
        _ l2: L2Client, _ id: ChunkID, _ counter: ReadCounter, _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> Found<Value>? {
        let attempt = l2.insist(id)
        let answer = await l2.get(id, attempt, .toLook)
        let duration = answer.after
        if Task.isCancelled {
            l2.judge(attempt, .unread(isAnswer: false), after: duration)
            throw CancellationError()
        }
        guard case .hit(let sealed) = answer.answer else {
            if case .miss(dropped: true) = answer.answer { counter.repaired(.l2) }
            l2.judge(attempt, .unread(isAnswer: true), after: duration)
            return nil
        }
        do {
            let value = try await open(sealed, .l2)
            l2.judge(attempt, .right, after: duration)
            return Found(value: value, sealed: sealed, tier: .l2, gap: nil)
        } catch let error as CacheError where error.code == .corrupt {
            l2.judge(attempt, .wrong, after: duration)
            counter.repaired(.l2)
            _ = l2.report(id, attempt)
            return nil
        }
    }

    private func readL3<Value>(
        _ gap: TierGap?, _ l3: () async throws -> ByteBuffer, _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> Found<Value> {
        let began = deadlines.time.now()
        let sealed = try await l3()
        l2?.budget.l3Answered(after: deadlines.time.now() - began)
        return Found(value: try await open(sealed, .l3), sealed: sealed, tier: .l3, gap: gap)
    }

    /// One read that asks L2.
    private struct Race {
        let tiers: LowerTiers
        let l2: L2Client
        let attempt: L2Attempt
        let id: ChunkID
        let asking: L2Client.Asking
        let counter: ReadCounter
        let countsFailures: Bool
        let l3: @Sendable () async throws -> ByteBuffer
        private let arrivals = Arrivals<Arrival>()

        init(
            tiers: LowerTiers, l2: L2Client, attempt: L2Attempt, id: ChunkID, asking: L2Client.Asking,
            counter: ReadCounter, countsFailures: Bool, l3: @escaping @Sendable () async throws -> ByteBuffer
        ) {
            self.tiers = tiers
            self.l2 = l2
            self.attempt = attempt
            self.id = id
            self.asking = asking
            self.counter = counter
            self.countsFailures = countsFailures
            self.l3 = l3
        }

        func run<Value>(_ open: (ByteBuffer, Tier) async throws -> Value) async throws -> Found<Value> {
            let request = askL2()
            let allowance = l2.budget.wait
            var reading: Task<Void, Never>?
            var gap: TierGap?
            var failure: (any Error)?
            defer {
                for arrival in arrivals.leave() { Self.pass(arrival, l2, attempt, tiers.buffers) }
                reading?.cancel()
            }
            do {
                if attempt.isRace { reading = askL3() }
                var isL2Awaited = true
                while true {
                    let wait = reading == nil ? l2.patience(attempt, allowance) : nil
                    if let wait, wait <= .zero {
                        l2.isLate(attempt)
                        reading = askL3()
                        continue
                    }
                    guard let arrival = try await arrivals.next(within: wait, tiers.deadlines) else { continue }
                    switch arrival {
                    case .l2(let answer):
                        isL2Awaited = false
                        let duration = answer.after
                        switch answer.answer {
                        case .hit(let sealed):
                            if let value = try await openOrNil(sealed, open) {
                                l2.judge(attempt, .right, after: duration)
                                return Found(value: value, sealed: sealed, tier: .l2, gap: nil)
                            }
                            l2.judge(attempt, .wrong, after: duration)
                            counter.repaired(.l2)
                            gap = TierGap(report: l2.report(id, attempt))
                        case .miss(let dropped):
                            l2.judge(attempt, .miss, after: duration)
                            if dropped { counter.repaired(.l2) }
                            gap = TierGap(lease: answer.lease)
                        case .unavailable:
                            l2.judge(attempt, .failed, after: duration)
                            if countsFailures { counter.failed(.l2) }
                        }
                        if let failure { throw failure }
                        if reading == nil { return try await tiers.readL3(gap, l3, open) }
                    case .l3(.success(let sealed)):
                        do {
                            let value = try await open(sealed, .l3)
                            if isL2Awaited, countsFailures { counter.failed(.l2) }
                            // Nothing is learnt of L2 from how long another worker takes.
                            if case .inLine = attempt.line.stage { request.cancel() }
                            return Found(value: value, sealed: sealed, tier: .l3, gap: gap)
                        } catch {
                            guard isL2Awaited else { throw error }
                            failure = error
                        }
                    case .l3(.failure(let error)):
                        guard isL2Awaited else { throw error }
                        failure = error
                    }
                }
            } catch {
                if Task.isCancelled { request.cancel() }
                throw error
            }
        }

        private func askL2() -> Task<Void, Never> {
            Task { [l2, attempt, arrivals, id, asking, buffers = tiers.buffers] in
                let arrival = Arrival.l2(await l2.get(id, attempt, asking))
                if !arrivals.add(arrival) { Self.pass(arrival, l2, attempt, buffers) }
            }
        }

        private func askL3() -> Task<Void, Never> {
            attempt.l3IsAsked()
            return Task { [l2, attempt, arrivals, l3, time = tiers.deadlines.time] in
                let began = time.now()
                let result: Result<ByteBuffer, any Error>
                do {
                    result = .success(try await l3())
                    l2.budget.l3Answered(after: time.now() - began)
                    attempt.l3Answered(after: time.now() - attempt.began)
                } catch {
                    result = .failure(error)
                }
                _ = arrivals.add(.l3(result))
            }
        }

        /// Judges an answer that comes too late to be of use.
        private static func pass(
            _ arrival: Arrival, _ l2: L2Client, _ attempt: L2Attempt, _ buffers: BufferPool
        ) {
            guard case .l2(let answer) = arrival else { return }
            let duration = answer.after
            switch answer.answer {
            case .unavailable: l2.judge(attempt, Task.isCancelled ? .unread(isAnswer: false) : .failed, after: duration)
            case .miss: l2.judge(attempt, .unread(isAnswer: true), after: duration)
            case .hit(let sealed):
                buffers.give(sealed)
                l2.judge(attempt, .unread(isAnswer: true), after: duration)
            }
        }

        private func openOrNil<Value>(
            _ sealed: ByteBuffer, _ open: (ByteBuffer, Tier) async throws -> Value
        ) async throws -> Value? {
            do {
                return try await open(sealed, .l2)
            } catch let error as CacheError where error.code == .corrupt {
                return nil
            } catch {
                l2.judge(attempt, .unread(isAnswer: false), after: .zero)
                throw error
            }
        }
    }
}
