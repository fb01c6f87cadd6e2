internal import CacheAccess
internal import CacheCore
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1

/// Speaks HTTP with the L2 daemons: each object lives on one of them, chosen by rendezvous hashing.
///
/// Whatever goes wrong costs no more than ``L2Budget`` allows: a daemon that is slower than L3, or fails, is left out
/// for a while.
final class L2Client: Sendable {
    /// What became of a request.
    enum Outcome {
        case right
        case miss
        /// Bytes that are not what their name says.
        case wrong
        case failed
        /// The answer was not looked at: it came too late to be of use, or the reader left before it came.
        case unread(isAnswer: Bool)
    }

    private struct Node: Sendable {
        let connections: L2ConnectionPool
        let health = NIOLockedValueBox(L2Health())
        let fills: TierGuard
        let notice = NIOLockedValueBox(Notice())
    }

    /// What who reads the log is told of a daemon.
    private struct Notice {
        var lastError = "too slow"
        /// When it is told again that the daemon is left out.
        var next = Duration.zero
        /// Refusals that the log has a line for.
        var told: Set<String> = []
        /// Whether the last error was one of them.
        var isRefused = false
    }

    private let nodes: [Node]
    let deadline: Duration
    /// The longest that a read waits for the fill of another worker.
    let longestWait: Duration
    private let load: ReadLoad
    let time: TimeSource
    private let logger: Logger
    /// What all requests of this client say, so that the daemons know it as one.
    let worker = ("Layercache-Worker", L2Client.newName())
    /// What reads and fills may lose to all daemons together.
    let budget: L2Budget
    /// An answer to a PUT says nothing in its body that matters.
    static let lineBytes = 4096

    /// Reads the files of the settings. Blocks.
    /// - Throws: `.invalidInput` for an address that is not `http://host:port` or `https://host:port`; what is wrong
    ///   with a file.
    init(
        _ settings: L2Settings, load: ReadLoad, deadlines: Deadlines, buffers: BufferPool, logger: Logger
    ) throws {
        var addresses: Set<L2Address> = []
        for url in settings.urls { addresses.insert(try L2Address(parsing: url)) }
        let access = try settings.security.access(to: addresses, logger: logger)
        deadline = settings.deadline
        longestWait = settings.wait
        let budget = L2Budget(settings.patience, inLine: settings.wait, load: load, time: deadlines.time)
        self.budget = budget
        nodes = addresses.sorted().map { address in
            Node(
                connections: L2ConnectionPool(
                    address, access, maximum: settings.connections,
                    connectTimeout: min(TimeAmount(settings.deadline), .seconds(1)),
                    deadlines: deadlines, buffers: buffers, stretch: budget.stretched),
                fills: TierGuard(time: deadlines.time) { _ in true })
        }
        self.load = load
        time = deadlines.time
        self.logger = logger
    }

    // MARK: Reads

    /// Lets a read ask the daemon that has `id`; `nil` if that is left out now. Every attempt must be given to
    /// ``judge(_:_:after:)``.
    func admit(_ id: ChunkID) -> L2Attempt? {
        let index = node(of: id)
        let now = time.now()
        let admission = nodes[index].health.withLockedValue { $0.admit(now: now) }
        if admission == .no {
            tellLeftOut(index, now)
            return nil
        }
        return L2Attempt(node: index, isRace: admission == .race, began: now, waitedBefore: load.waited)
    }

    /// As ``admit(_:)``, for a read that L3 could not serve: then a daemon that was left out is better than none.
    func insist(_ id: ChunkID) -> L2Attempt {
        let index = node(of: id)
        nodes[index].health.withLockedValue { $0.insisted() }
        let attempt = L2Attempt(node: index, isRace: false, began: time.now(), waitedBefore: load.waited)
        attempt.l3IsAsked()
        return attempt
    }

    /// Asks for a chunk. Throws nothing: a task that is cancelled gets `.unavailable`.
    func get(_ id: ChunkID, _ attempt: L2Attempt, _ asking: Asking) async -> Answer {
        let connections = nodes[attempt.node].connections
        let seconds = asking == .toFill ? secondsInLine(attempt) : 0
        let request = L2Request(
            method: .GET, path: "/v1/chunks/\(id.hex)", fields: fields(asking, seconds: seconds),
            line: (.seconds(seconds), attempt.line), limit: ChunkLimits.sealedBytes)
        let answer: TierAnswer
        var lease: FillLease?
        do {
            let response = try await connections.exchange(request, for: .read, within: deadline)
            switch response.head.status {
            case .ok: answer = .hit(response.body)
            case .notFound:
                lease = self.lease(response.head, of: id, from: connections)
                answer = .miss(dropped: response.head.headers.contains(name: "Layercache-Repair"))
            default: throw CacheError(.io, "L2 answered \(response.head.status.code)")
            }
        } catch {
            note(error, id, attempt.node)
            answer = .unavailable
        }
        let now = time.now()
        attempt.line.ended()
        return Answer(answer: answer, lease: lease, after: now - attempt.began)
    }

    /// Whether the daemon is filled by many at once: it has given this process leases, or had it wait, lately.
    func isAmongFills(_ attempt: L2Attempt) -> Bool {
        nodes[attempt.node].connections.lines.isAmongFills(at: time.now())
    }

    /// Whether a request may be waiting for a connection because others are in line.
    func isHeldUp(_ attempt: L2Attempt) -> Bool { nodes[attempt.node].connections.lines.isUsed }

    /// The wait for L2 alone is over before there was an answer: L3 is asked as well.
    func isLate(_ attempt: L2Attempt) {
        attempt.l3IsAsked()
        spend(time.now() - attempt.began, spared: false, attempt)
    }

    /// Takes note of how an attempt ended, `duration` after it was admitted.
    func judge(_ attempt: L2Attempt, _ outcome: Outcome, after duration: Duration) {
        let now = time.now()
        nodes[attempt.node].health.withLockedValue { health in
            if attempt.isRace {
                switch outcome {
                case .unread(isAnswer: false): health.raced(won: nil, now: now)
                case .wrong, .failed: health.raced(won: false, now: now)
                case .right, .miss, .unread(isAnswer: true):
                    let l3 = attempt.l3Latency
                    let isAsFast = l3.map { budget.isAsFast(duration, as: $0) } ?? true
                    health.raced(won: isAsFast, budgetAt: budget.nextWaitAt, now: now)
                }
            } else {
                switch outcome {
                case .wrong, .failed: health.ended(succeeded: false, now: now)
                // An answer that came too late to be of use is none.
                case .right, .miss: health.ended(succeeded: attempt.isBesideL3 ? nil : true, now: now)
                case .unread: health.ended(succeeded: nil, now: now)
                }
            }
        }
        guard !attempt.isRace, !attempt.isBesideL3 else { return }
        var isRight = false
        if case .right = outcome { isRight = true }
        spend(duration, spared: isRight, attempt)
        if !isRight, attempt.line.inLine > .zero {
            budget.waitedInVain(min(attempt.line.inLine, load.waited - attempt.waitedBefore))
        }
    }

    private func spend(_ duration: Duration, spared: Bool, _ attempt: L2Attempt) {
        // Only what a reader waited for is a loss, and for the daemon itself, not for another worker's fill.
        let lost = min(duration - attempt.line.heldUp - attempt.line.inLine, load.waited - attempt.waitedBefore)
        if !budget.waited(lost, spared: spared, amongFills: isAmongFills(attempt)) {
            nodes[attempt.node].health.withLockedValue { $0.exhausted() }
        }
    }

    func close() async {
        for node in nodes { await node.connections.close() }
    }

    private static let noticeInterval = Duration.seconds(60)

    /// One line a minute, however many reads go past it.
    private func tellLeftOut(_ index: Int, _ now: Duration) {
        let node = nodes[index]
        let error = node.notice.withLockedValue { notice -> String? in
            guard now >= notice.next, !notice.isRefused else { return nil }
            notice.next = now + Self.noticeInterval
            return notice.lastError
        }
        guard let error else { return }
        logger.notice(
            "L2 is ill: reads go on without it for a while",
            metadata: ["node": "\(node.connections.address)", "error": "\(error)"])
    }

    private func note(_ error: any Error, _ id: ChunkID, _ node: Int, isFill: Bool = false) {
        let refusal = error is TLSRefusal || error is L2Refusal ? "\(error)" : nil
        let isNew = nodes[node].notice.withLockedValue { notice -> Bool in
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
                metadata: ["node": "\(nodes[node].connections.address)", "error": "\(refusal)"])
            return
        }
        logger.debug(
            "L2 request failed",
            metadata: ["node": "\(nodes[node].connections.address)", "chunk": "\(id)", "error": "\(error)"])
    }

    /// Rendezvous hashing: each node scores the chunk and the highest has it, so a node that comes or goes moves only
    /// its own share.
    private func node(of id: ChunkID) -> Int {
        guard nodes.count > 1 else { return 0 }
        let scores = nodes.map { node in
            var hash = SHA256Stream()
            var base = node.connections.address.description
            base.withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
            id.digest.withUnsafeBytes { hash.update($0) }
            return hash.finish()
        }
        return scores.indices.max { scores[$0] < scores[$1] } ?? 0
    }
}

// MARK: - Fills

extension L2Client: FillTarget {
    /// A daemon may refuse a chunk: one whose disk is full still serves what it has.
    func put(_ id: ChunkID, _ sealed: ByteBuffer, _ lease: FillLease?) async throws {
        let index = node(of: id)
        let node = nodes[index]
        if node.fills.admit() == .no { return }
        let request = L2Request(
            method: .PUT, path: "/v1/chunks/\(id.hex)",
            fields: [worker] + (lease.map { [(Self.leaseField, $0.token)] } ?? []),
            body: sealed, isUrgent: lease != nil, limit: Self.lineBytes)
        let end = try await node.fills.call {
            // Refusals are errors.
            try await node.connections.exchange(request, for: .fill, within: deadline).head.status
        }
        switch end {
        case .success(.created), .success(.ok): lease?.settle()
        case .success(let status):
            logger.debug("L2 refused a chunk", metadata: ["chunk": "\(id)", "status": "\(status.code)"])
        case .failure(let error):
            note(error, id, index, isFill: true)
            // It will not take the next one either.
            if error is L2Refusal { node.fills.open() }
        }
    }

    func waitForFill(isLeased: Bool) -> Duration { budget.waitForFill(isLeased: isLeased) }

    func waitForEnd(isLeased: Bool) -> Duration { budget.waitForEnd(isLeased: isLeased) }

    func waitedForFill(_ duration: Duration, readers: Int, isLeased: Bool) {
        budget.waitedForFill(duration, readers: readers, isLeased: isLeased)
    }
}
