internal import CacheChunks
internal import CacheStore
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOPosix

/// Reports of clients that got bytes which are not what their name says.
///
/// A report is a reason to look, never to believe: the daemon hashes its own copies, and drops what is damaged. What
/// that costs is bounded: one look at a time, one for all who report the same chunk, none for a chunk that was found
/// sound a moment ago, and so many a second that find nothing.
final class DamageReports: Sendable {
    enum Verdict: Sendable, Hashable {
        /// A copy was damaged, and is dropped.
        case dropped
        /// The copies here have the right bytes.
        case sound
        /// There is no copy here, or it is on its way out.
        case absent
        /// Nobody looked: too many reports, or the store does not answer.
        case refused
    }

    /// Reports that came, and what looking found.
    struct Counts: Sendable, Hashable {
        var received = 0
        var dropped = 0
        var sound = 0
        var refused = 0
    }

    private struct State {
        /// Who waits for the verdict on a chunk.
        var asking: [ChunkID: [EventLoopPromise<Verdict>]] = [:]
        var line = CircularBuffer<(id: ChunkID, at: NIODeadline)>()
        var isWorking = false
        /// When a verdict of `sound` is forgotten, and the order in which that happens.
        var sound: [ChunkID: NIODeadline] = [:]
        var order = CircularBuffer<ChunkID>()
        /// Looks that may find nothing before reports are refused.
        var credit = DamageReports.mostCredit
        var lastCredit: NIODeadline?
        var counts = Counts()
    }

    /// Looks for nothing, at once and a second: 16 of 0.7 ms are 1 % of a core.
    private static let mostCredit = 64.0
    private static let creditPerSecond = 16.0
    private static let longestLine = 64
    private static let soundFor = TimeAmount.seconds(10)
    private static let mostSound = 1024

    private let tiers: ChunkTiers
    private let threads: NIOThreadPool
    private let state = NIOLockedValueBox(State())

    /// - Parameter threads: where copies are read and hashed.
    init(_ tiers: ChunkTiers, threads: NIOThreadPool) {
        self.tiers = tiers
        self.threads = threads
    }

    var counts: Counts { state.withLockedValue { $0.counts } }

    /// A client says that it got damaged bytes. Never fails.
    func report(_ id: ChunkID, at now: NIODeadline, on eventLoop: any EventLoop) -> EventLoopFuture<Verdict> {
        let promise = eventLoop.makePromise(of: Verdict.self)
        let (known, begins) = state.withLockedValue { state -> (Verdict?, Bool) in
            state.counts.received += 1
            if state.asking[id]?.append(promise) != nil { return (nil, false) }
            if let end = state.sound[id], end > now { return (.sound, false) }
            refill(&state, now)
            guard state.credit >= 1, state.line.count < Self.longestLine else {
                state.counts.refused += 1
                return (.refused, false)
            }
            state.credit -= 1
            state.asking[id] = [promise]
            state.line.append((id, now))
            defer { state.isWorking = true }
            return (nil, !state.isWorking)
        }
        if let known { promise.succeed(known) }
        if begins { lookAtNext() }
        return promise.futureResult
    }

    private func refill(_ state: inout State, _ now: NIODeadline) {
        let elapsed = Double((now - (state.lastCredit ?? now)).nanoseconds) / 1e9
        state.credit = min(state.credit + max(elapsed, 0) * Self.creditPerSecond, Self.mostCredit)
        state.lastCredit = now
    }

    /// One submission to the threads for each look, so that reads come between.
    private func lookAtNext() {
        threads.submit { [self] pool in
            let next = state.withLockedValue { state in
                if state.line.isEmpty { state.isWorking = false }
                return state.line.popFirst()
            }
            guard let next else { return }
            let isActive = if case .active = pool { true } else { false }
            answer(next.id, isActive ? look(at: next.id) : .refused, at: next.at)
            lookAtNext()
        }
    }

    private func look(at id: ChunkID) -> Verdict {
        do {
            return switch try tiers.examine(id) {
            case .dropped: .dropped
            case .sound: .sound
            case .absent: .absent
            }
        } catch {
            return .refused  // closing, or its disk fails: reads say so themselves
        }
    }

    private func answer(_ id: ChunkID, _ verdict: Verdict, at now: NIODeadline) {
        let asking = state.withLockedValue { state in
            switch verdict {
            case .dropped: state.counts.dropped += 1
            case .sound:
                state.counts.sound += 1
                remember(id, until: now + Self.soundFor, &state)
            case .refused: state.counts.refused += 1
            case .absent: break
            }
            if verdict != .sound { state.credit = min(state.credit + 1, Self.mostCredit) }
            return state.asking.removeValue(forKey: id) ?? []
        }
        for promise in asking { promise.succeed(verdict) }
    }

    private func remember(_ id: ChunkID, until end: NIODeadline, _ state: inout State) {
        if state.sound.updateValue(end, forKey: id) != nil { return }
        state.order.append(id)
        if state.order.count > Self.mostSound, let oldest = state.order.popFirst() { state.sound[oldest] = nil }
    }
}
