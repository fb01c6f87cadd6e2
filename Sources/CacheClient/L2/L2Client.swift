internal import CacheAccess
internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1

/// Speaks HTTP with the L2 daemons (``L2Members``): each object lives on one of them, chosen by rendezvous hashing.
///
/// Whatever goes wrong costs no more than ``L2Budget`` allows: a daemon that is slower than the others or than L3, or
/// fails, is left out for a while, and what it has is asked of the next one in the order of the object.
final class L2Client: Sendable {
    /// What became of a request.
    enum Outcome {
        case right(bytes: Int)
        case miss
        /// Bytes that are not what their name says.
        case wrong
        case failed
        /// It has too much to do, and says when to come again.
        case shed(Duration)
        /// The answer was not looked at: it came too late to be of use, or the reader left before it came.
        case unread(isAnswer: Bool)
    }

    let members: L2Members
    let deadline: Duration
    /// The longest that a read waits for the fill of another worker.
    let longestWait: Duration
    let load: ReadLoad
    let time: TimeSource
    let logger: Logger
    let commons: L2Commons
    let extras = NIOLockedValueBox(L2Extras())
    /// What all requests of this client say, so that the daemons know it as one.
    let worker = ("Layercache-Worker", L2Client.newName())
    /// An answer to a PUT says nothing in its body that matters.
    static let lineBytes = 4096

    /// Reads the files of the settings. Blocks.
    /// - Throws: `.invalidInput` for an address that is not of the form of ``L2Source``; what is wrong with a file.
    init(
        _ settings: L2Settings, load: ReadLoad, deadlines: Deadlines, buffers: BufferPool, logger: Logger
    ) throws {
        deadline = settings.deadline
        longestWait = settings.wait
        let commons = L2Commons(inLine: settings.wait, time: deadlines.time)
        self.commons = commons
        self.load = load
        time = deadlines.time
        self.logger = logger
        members = try L2Members(
            settings, load: load, commons: commons, deadlines: deadlines, buffers: buffers, logger: logger)
    }

    /// Finds the daemons of names, within the deadline of a request: what cannot be found yet is looked for again.
    func start() async { await members.start(within: deadline) }

    // MARK: Reads

    /// Asks for a chunk. Throws nothing: a task that is cancelled gets `.unavailable`.
    func get(_ id: ChunkID, _ attempt: L2Attempt, _ asking: Asking) async -> Answer {
        let connections = attempt.node.connections
        let seconds = asking == .toFill ? secondsInLine(attempt) : 0
        let request = L2Request(
            method: .GET, path: "/v1/chunks/\(id.hex)", fields: fields(asking, seconds: seconds),
            line: (.seconds(seconds), attempt.line), limit: ChunkLimits.sealedBytes)
        let answer: TierAnswer
        var lease: FillLease?
        var shed: Duration?
        do {
            let response = try await connections.exchange(request, for: .read, within: deadline)
            switch response.head.status {
            case .ok: answer = .hit(response.body)
            case .notFound:
                lease = self.lease(response.head, of: id, from: connections)
                answer = .miss(dropped: response.head.headers.contains(name: "Layercache-Repair"))
            default:
                shed = L2Overload.pause(response.head)
                throw CacheError(.io, "L2 answered \(response.head.status.code)")
            }
        } catch {
            note(error, id, attempt.node)
            answer = .unavailable
        }
        let now = time.now()
        attempt.line.ended()
        return Answer(answer: answer, lease: lease, shed: shed, after: now - attempt.began)
    }

    /// Whether the daemon is filled by many at once: it has given this process leases, or had it wait, lately.
    func isAmongFills(_ attempt: L2Attempt) -> Bool {
        attempt.node.connections.lines.isAmongFills(at: time.now())
    }

    /// Whether a request may be waiting for a connection because others are in line.
    func isHeldUp(_ attempt: L2Attempt) -> Bool { attempt.node.connections.lines.isUsed }

    /// The wait for this daemon alone is over before there was an answer: another, or L3, is asked as well.
    func isLate(_ attempt: L2Attempt) {
        guard !attempt.hasCompany else { return }
        attempt.isNotAlone()
        spend(time.now() - attempt.began, spared: false, isAnswer: false, attempt)
    }

    /// Takes note of how an attempt ended, `duration` after it was admitted.
    func judge(_ attempt: L2Attempt, _ outcome: Outcome, after duration: Duration) {
        let now = time.now()
        let node = attempt.node
        let jitter = Double.random(in: 0...1)
        let hasWon = attempt.isRace && isAsFast(attempt, after: duration)
        node.state.withLockedValue { state in
            state.note(outcome, after: attempt.hasWaited ? nil : duration, now: now)
            if attempt.isRace {
                switch outcome {
                case .unread(isAnswer: false): state.health.raced(won: nil, now: now)
                case .wrong, .failed, .shed: state.health.raced(won: false, now: now)
                case .right, .miss, .unread(isAnswer: true):
                    state.health.raced(won: hasWon, budgetAt: node.budget.nextWaitAt, now: now)
                }
            } else {
                switch outcome {
                case .failed: state.health.ended(succeeded: false, now: now)
                // The verdict on it counts (``report(_:_:)``).
                case .wrong: state.health.ended(succeeded: nil, now: now)
                case .shed(let pause):
                    state.health.ended(succeeded: nil, now: now)
                    state.health.shed(for: pause, jitter: jitter, now: now)
                // An answer that came too late to be of use is none.
                case .right, .miss: state.health.ended(succeeded: attempt.hasCompany ? nil : true, now: now)
                case .unread: state.health.ended(succeeded: nil, now: now)
                }
            }
        }
        guard !attempt.isRace, !attempt.hasCompany else { return }
        var (isRight, isAnswer) = (false, false)
        switch outcome {
        case .right: (isRight, isAnswer) = (true, true)
        case .miss: isAnswer = true
        case .wrong, .failed, .shed, .unread: break
        }
        spend(duration, spared: isRight, isAnswer: isAnswer, attempt)
        if !isRight, attempt.line.inLine > .zero {
            node.budget.waitedInVain(min(attempt.line.inLine, load.waited - attempt.waitedBefore))
        }
    }

    private func spend(_ duration: Duration, spared: Bool, isAnswer: Bool, _ attempt: L2Attempt) {
        // Only what a reader waited for is a loss, and for the daemon itself, not for another worker's fill.
        let own = duration - attempt.line.heldUp - attempt.line.inLine
        let lost = min(own, load.waited - attempt.waitedBefore)
        let node = attempt.node
        let pace = members.pace(besides: node)
        if let pace { compare(attempt, with: pace, took: own, waited: lost, isAnswer: isAnswer) }
        let isWorthIt = node.budget.waited(
            lost, spared: spared, amongFills: isAmongFills(attempt), others: pace?.median)
        guard !isWorthIt else { return }
        let (now, hasStandIn) = (time.now(), members.all.count > 1)
        node.state.withLockedValue { $0.health.exhausted(hasStandIn: hasStandIn, now: now) }
    }

    func close() async { await members.close() }

    // MARK: The log

    private static let noticeInterval = Duration.seconds(60)

    /// One line a minute, however many reads go past it.
    func tellLeftOut(_ node: L2Node, _ now: Duration) {
        let error = node.notice.withLockedValue { notice -> String? in
            guard now >= notice.next, !notice.isRefused else { return nil }
            notice.next = now + Self.noticeInterval
            return notice.lastError
        }
        guard let error else { return }
        logger.notice(
            "L2 is ill: reads go on without it for a while",
            metadata: ["node": "\(node.address)", "error": "\(error)"])
    }

    func note(_ error: any Error, _ id: ChunkID, _ node: L2Node, isFill: Bool = false) {
        // Nobody waits for the answer any more.
        if error is CancellationError { return }
        let refusal = error is TLSRefusal || error is L2Refusal ? "\(error)" : nil
        let isNew = node.notice.withLockedValue { notice -> Bool in
            notice.isRefused = refusal != nil
            guard let refusal else {
                notice.lastError = "\(error)"
                return false
            }
            return notice.told.insert(refusal).inserted
        }
        if let refusal {
            guard isNew else { return }
            logger.warning(
                isFill
                    ? "L2 takes no chunks from this host: going on without filling it"
                    : "L2 and this host refuse one another: going on without it",
                metadata: ["node": "\(node.address)", "error": "\(refusal)"])
            return
        }
        logger.debug(
            "L2 request failed", metadata: ["node": "\(node.address)", "chunk": "\(id)", "error": "\(error)"])
    }
}
