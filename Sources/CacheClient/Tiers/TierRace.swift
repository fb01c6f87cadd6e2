internal import CacheCore
internal import NIOCore

/// One read that asks L2: its daemon, another one if that is late or has failed, L3 if that brings nothing in time. The
/// first right answer counts.
///
/// A hedge that answers first ends the request that was late, and a daemon that answers first ends the hedge. Requests
/// that are late for L3 go on, and only tell how L2 is.
struct TierRace: Sendable {
    private enum Arrival: Sendable {
        case l2(L2Attempt, L2Client.Answer)
        case l3(Result<ByteBuffer, any Error>)
    }

    private enum Role {
        /// The read waits for it, and it is told if it lacks the object.
        case main
        /// A second one because the first is late, or lacks what another may have.
        case second
        /// It finds out whether a daemon is worth asking.
        case probe
    }

    private enum Step {
        case wait(Duration?)
        case hedge
        case askL3
    }

    private struct Request {
        let attempt: L2Attempt
        let role: Role
        let task: Task<Void, Never>
    }

    let tiers: LowerTiers
    let l2: L2Client
    let wanted: LowerTiers.Wanted
    /// All daemons that were asked.
    private(set) var asked: [L2Node] = []
    private let arrivals = Arrivals<Arrival>()
    private var underWay: [Request] = []
    /// What the read waits for, and for how long at first.
    private var awaited: (attempt: L2Attempt, allowance: Duration)?
    /// When it is late; `nil` if no other is to be asked then.
    private var hedgeDelay: Duration?
    private var reading: Task<Void, Never>?
    private var gap: TierGap?
    /// Whether a daemon has said that it has no right copy.
    private var isMissed = false
    /// What L3 has failed with.
    private var failure: (any Error)?

    init(tiers: LowerTiers, l2: L2Client, wanted: LowerTiers.Wanted) {
        self.tiers = tiers
        self.l2 = l2
        self.wanted = wanted
    }

    mutating func run<Value>(
        _ plan: L2Client.Plan, _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> LowerTiers.Found<Value> {
        defer {
            for arrival in arrivals.leave() { Self.pass(arrival, l2, tiers.buffers) }
            reading?.cancel()
        }
        do {
            if let probe = plan.probe { ask(probe, .probe, plan.main == nil ? wanted.asking : .toLook) }
            if let main = plan.main {
                waitFor(main, wanted.asking)
                hedgeDelay = l2.hedgeDelay(main.node)
            } else {
                askL3()
            }
            while true {
                switch nextStep() {
                case .hedge: hedge()
                case .askL3:
                    if let late = awaited?.attempt { l2.isLate(late) }
                    askL3()
                case .wait(let duration):
                    guard let arrival = try await arrivals.next(within: duration, tiers.deadlines) else { continue }
                    if let found = try await take(arrival, open) { return found }
                }
            }
        } catch {
            if Task.isCancelled { for request in underWay { request.task.cancel() } }
            throw error
        }
    }

    // MARK: Who is asked

    private func nextStep() -> Step {
        guard reading == nil, let (attempt, allowance) = awaited else { return .wait(nil) }
        let patience = l2.patience(attempt, allowance)
        guard patience > .zero else { return .askL3 }
        guard let hedgeDelay, mayBeLate(attempt) else { return .wait(patience) }
        let left = attempt.began + hedgeDelay - tiers.deadlines.time.now()
        return left > .zero ? .wait(min(patience, left)) : .hedge
    }

    /// Who is in line for a fill, or behind those who are, is not late.
    private func mayBeLate(_ attempt: L2Attempt) -> Bool {
        switch attempt.line.stage {
        case .inLine: false
        case .queued: !l2.isHeldUp(attempt)
        case .sent, .ended: attempt.line.heldUp == .zero
        }
    }

    /// The read waits for this one from now on.
    private mutating func waitFor(_ attempt: L2Attempt, _ asking: L2Client.Asking) {
        awaited = (attempt, attempt.node.budget.wait)
        ask(attempt, asking == wanted.asking ? .main : .second, asking)
    }

    private mutating func ask(_ attempt: L2Attempt, _ role: Role, _ asking: L2Client.Asking) {
        let task = Task { [l2, arrivals, id = wanted.id, buffers = tiers.buffers] in
            let arrival = Arrival.l2(attempt, await l2.get(id, attempt, asking))
            if !arrivals.add(arrival) { Self.pass(arrival, l2, buffers) }
        }
        asked.append(attempt.node)
        underWay.append(Request(attempt: attempt, role: role, task: task))
    }

    private mutating func hedge() {
        hedgeDelay = nil
        guard let late = awaited?.attempt, let attempt = l2.hedge(wanted.id, late, besides: asked) else { return }
        attempt.isNotAlone()
        ask(attempt, .second, .toLook)
    }

    private mutating func askL3() {
        let attempts = underWay.map(\.attempt)
        for attempt in attempts { attempt.isNotAlone() }
        reading = Task { [l2, arrivals, l3 = wanted.l3, time = tiers.deadlines.time] in
            let began = time.now()
            let result: Result<ByteBuffer, any Error>
            do {
                result = .success(try await l3())
                let now = time.now()
                l2.commons.l3Answered(after: now - began)
                for attempt in attempts { attempt.otherAnswered(after: now - attempt.began) }
            } catch {
                result = .failure(error)
            }
            _ = arrivals.add(.l3(result))
        }
    }

    // MARK: What they answer

    private mutating func take<Value>(
        _ arrival: Arrival, _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> LowerTiers.Found<Value>? {
        switch arrival {
        case .l2(let attempt, let answer):
            guard let index = underWay.firstIndex(where: { $0.attempt === attempt }) else { return nil }
            let role = underWay.remove(at: index).role
            if let found = try await take(answer, of: attempt, role, open) { return found }
            return try await goOn(open)
        case .l3(.success(let sealed)):
            do {
                let value = try await open(sealed, .l3)
                if !isMissed, wanted.countsFailures { wanted.counter.failed(.l2) }
                // Nothing is learnt of L2 from how long another worker takes.
                for request in underWay {
                    if case .inLine = request.attempt.line.stage { request.task.cancel() }
                }
                return LowerTiers.Found(value: value, sealed: sealed, tier: .l3, gap: gap)
            } catch {
                try fail(error)
            }
        case .l3(.failure(let error)): try fail(error)
        }
        return nil
    }

    private mutating func take<Value>(
        _ answer: L2Client.Answer, of attempt: L2Attempt, _ role: Role,
        _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> LowerTiers.Found<Value>? {
        switch answer.answer {
        case .hit(let sealed):
            if role != .probe { compareProbes() }
            if let value = try await openOrNil(sealed, attempt, open) {
                l2.judge(attempt, .right(bytes: sealed.readableBytes), after: answer.after)
                endOthers(than: role)
                return LowerTiers.Found(value: value, sealed: sealed, tier: .l2, gap: isMissed ? gap : nil)
            }
            l2.judge(attempt, .wrong, after: answer.after)
            wanted.counter.repaired(.l2)
            lacks(attempt, role, report: l2.report(wanted.id, attempt))
        case .miss(let dropped):
            if role != .probe { compareProbes() }
            l2.judge(attempt, .miss, after: answer.after)
            if dropped { wanted.counter.repaired(.l2) }
            lacks(attempt, role, lease: answer.lease)
            // What has come lately may not have yet what it is to have.
            if role == .main, reading == nil, l2.isYoung(attempt.node),
                let next = l2.next(wanted.id, besides: asked)
            {
                waitFor(next, .toLook)
            }
        case .unavailable:
            l2.judge(attempt, answer.shed.map { .shed($0) } ?? .failed, after: answer.after)
            guard role == .main, reading == nil else { break }
            if let next = l2.retry(wanted.id, besides: asked) {
                waitFor(next, wanted.asking)
            } else if !isMissed, l2.members.all.count > 1 {
                // Who stands in for it is filled.
                gap = TierGap()
            }
        }
        return nil
    }

    /// A daemon has no right copy.
    private mutating func lacks(
        _ attempt: L2Attempt, _ role: Role, lease: FillLease? = nil, report: Task<DamageVerdict, Never>? = nil
    ) {
        if role == .second {
            // Where the first says nothing, the second one is filled.
            if !isMissed { gap = TierGap(place: attempt.node.number, report: report) }
            return
        }
        guard role == .main || awaited == nil else { return }
        isMissed = true
        gap = TierGap(lease: lease, place: attempt.node.number, report: report)
    }

    /// After an answer that was of no use: the read waits for what is under way still, or for L3.
    private mutating func goOn<Value>(
        _ open: (ByteBuffer, Tier) async throws -> Value
    ) async throws -> LowerTiers.Found<Value>? {
        if let failure, underWay.isEmpty { throw failure }
        guard reading == nil else { return nil }
        let others = underWay.filter { $0.role != .probe }
        if let other = others.last?.attempt {
            if !others.contains(where: { $0.attempt === awaited?.attempt }) {
                awaited = (other, other.node.budget.wait)
            }
            return nil
        }
        guard underWay.isEmpty else {
            askL3()
            return nil
        }
        if !isMissed, wanted.countsFailures { wanted.counter.failed(.l2) }
        return try await tiers.readL3(gap, wanted.l3, open)
    }

    private mutating func fail(_ error: any Error) throws {
        guard !underWay.isEmpty else { throw error }
        failure = error
    }

    /// The one that the read waited for, or another, has answered before those that are tried.
    private func compareProbes() {
        let now = tiers.deadlines.time.now()
        for request in underWay where request.role == .probe {
            request.attempt.otherAnswered(after: now - request.attempt.began)
        }
    }

    /// A daemon has brought the object: who else was asked to bring it need not.
    private func endOthers(than role: Role) {
        for request in underWay where request.role != .probe {
            if role == .second, request.role == .main {
                l2.isLate(request.attempt)
                l2.hedgeWon(request.attempt)
            }
            request.task.cancel()
        }
    }

    /// Judges an answer that comes too late to be of use.
    private static func pass(_ arrival: Arrival, _ l2: L2Client, _ buffers: BufferPool) {
        guard case .l2(let attempt, let answer) = arrival else { return }
        switch answer.answer {
        case .unavailable where Task.isCancelled: l2.judge(attempt, .unread(isAnswer: false), after: answer.after)
        case .unavailable: l2.judge(attempt, answer.shed.map { .shed($0) } ?? .failed, after: answer.after)
        case .miss: l2.judge(attempt, .unread(isAnswer: true), after: answer.after)
        case .hit(let sealed):
            buffers.give(sealed)
            l2.judge(attempt, .unread(isAnswer: true), after: answer.after)
        }
    }

    private func openOrNil<Value>(
        _ sealed: ByteBuffer, _ attempt: L2Attempt, _ open: (ByteBuffer, Tier) async throws -> Value
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
