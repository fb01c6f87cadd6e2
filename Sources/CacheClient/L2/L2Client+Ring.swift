internal import CacheCore
internal import NIOConcurrencyHelpers

/// Who is asked for an object: the order of its daemons, and what keeps a read from the first of them.
extension L2Client {
    /// Who is asked first, and beside whom.
    struct Plan {
        /// The daemon that the read waits for; `nil` if all are left out now.
        var main: L2Attempt?
        /// One that was left out, and is asked to find out whether it is worth it.
        var probe: L2Attempt?
    }

    /// Lets a read ask the daemon that has `id`, or the next in order if that one is left out, has more than its part
    /// of the load, or is warming up and has not come to this object yet. Every attempt must be given to
    /// ``judge(_:_:after:)``.
    func plan(_ id: ChunkID) -> Plan {
        extras.withLockedValue { $0.read() }
        return plan(id, isExtra: false, besides: [])
    }

    /// After how long a request is late enough to ask another daemon, too; `nil` as long as it is not known: the time
    /// within which 95 of 100 hits of the daemon come, or of the others if that is shorter.
    func hedgeDelay(_ node: L2Node) -> Duration? {
        let own = node.state.withLockedValue { $0.times.high }
        let highs = [own, members.pace(besides: node)?.high].compactMap { $0 }
        return highs.min().map { max($0, Self.shortestDelay) }
    }

    private static let shortestDelay = Duration.milliseconds(1)

    /// The next daemon in order, for a read whose daemon is late; `nil` if there is none, or too many were asked so.
    func hedge(_ id: ChunkID, _ late: L2Attempt, besides asked: [L2Node]) -> L2Attempt? {
        guard members.all.count > asked.count, extras.withLockedValue({ $0.hedge() }) else { return nil }
        late.node.state.withLockedValue { $0.counts.hedges.sent += 1 }
        return next(id, besides: asked)
    }

    /// The next daemon in order, for a read whose daemon has failed.
    func retry(_ id: ChunkID, besides asked: [L2Node]) -> L2Attempt? {
        guard members.all.count > asked.count, extras.withLockedValue({ $0.retry() }) else { return nil }
        return next(id, besides: asked)
    }

    /// The next daemon in order, which may have what one does not have yet that is young.
    func next(_ id: ChunkID, besides asked: [L2Node]) -> L2Attempt? {
        plan(id, isExtra: true, besides: asked).main
    }

    /// The answer to a hedge has come first: what the late one takes is known to be longer than this.
    func hedgeWon(_ late: L2Attempt) {
        let duration = time.now() - late.began
        late.node.state.withLockedValue { state in
            state.counts.hedges.won += 1
            state.times.add(duration)
        }
    }

    /// Whether the daemon may not have yet what others have.
    func isYoung(_ node: L2Node) -> Bool {
        let now = time.now()
        return node.state.withLockedValue { $0.health.isYoung(now: now) }
    }

    /// Daemons that were passed over, for a read that L3 could not serve: then one that was left out is better than
    /// none. Those that the object would be looked for at first.
    func passedOver(_ id: ChunkID, besides asked: [L2Node]) -> [L2Node] {
        let ring = members.ring
        let order = Rendezvous.order(of: id, among: ring.names).prefix(Self.mostInsisted).map { ring.nodes[$0.index] }
        return order.filter { node in !asked.contains { $0 === node } }
    }

    func insist(on node: L2Node) -> L2Attempt {
        node.state.withLockedValue { $0.insisted() }
        let attempt = L2Attempt(node: node, isRace: false, began: time.now(), waitedBefore: load.waited)
        attempt.isNotAlone()
        return attempt
    }

    /// Where an object is put that no daemon was asked for.
    func filled(_ id: ChunkID) -> L2Node? {
        let ring = members.ring
        let now = time.now()
        let order = Rendezvous.order(of: id, among: ring.names).map { ring.nodes[$0.index] }
        return order.first { $0.state.withLockedValue { $0.health.isTrusted(now: now) } } ?? order.first
    }

    private static let mostInsisted = 2

    private enum Step {
        case ask(isRace: Bool)
        /// It is asked if no other can be.
        case held
        case no
    }

    private func plan(_ id: ChunkID, isExtra: Bool, besides asked: [L2Node]) -> Plan {
        let ring = members.ring
        let now = time.now()
        // There are few extra requests, and nowhere else to go with them.
        let hasStandIn = ring.nodes.count > 1
        let isBounded = !isExtra && hasStandIn
        let bound = isBounded ? NodeLoad.bound(ring.nodes.compactMap { $0.trustedLoad(now) }) : .max
        var plan = Plan()
        var held: L2Node?
        for score in Rendezvous.order(of: id, among: ring.names) {
            let node = ring.nodes[score.index]
            if asked.contains(where: { $0 === node }) { continue }
            let mayRace = !isExtra && plan.probe == nil
            let step = node.state.withLockedValue { state -> Step in
                guard state.health.isTrusted(now: now) else {
                    if !isExtra { state.counts.passedOver += 1 }
                    return mayRace && state.admit(hasStandIn: hasStandIn, now) ? .ask(isRace: true) : .no
                }
                if hasStandIn, state.isHeld(score.point, bound, now) { return .held }
                return state.admit(hasStandIn: hasStandIn, now) ? .ask(isRace: false) : .no
            }
            switch step {
            case .ask(let isRace):
                let attempt = L2Attempt(node: node, isRace: isRace, began: now, waitedBefore: load.waited)
                guard isRace else {
                    plan.main = attempt
                    return plan
                }
                plan.probe = attempt
            case .held: held = held ?? node
            case .no:
                if !isExtra { tellLeftOut(node, now) }
            }
        }
        if !isExtra, let held, held.state.withLockedValue({ $0.admitIfTrusted(now) }) {
            plan.main = L2Attempt(node: held, isRace: false, began: now, waitedBefore: load.waited)
        }
        return plan
    }
}

extension L2Attempt {
    /// Whether its time says something of another worker's fill, or of the line for a connection.
    var hasWaited: Bool { line.inLine > .zero || line.heldUp > .zero }
}

extension L2Node {
    /// What it is asked for now; `nil` while it is left out.
    fileprivate func trustedLoad(_ now: Duration) -> Int? {
        state.withLockedValue { $0.health.isTrusted(now: now) ? $0.load.amount(now: now) : nil }
    }
}

extension L2Node.State {
    /// Whether a request may be sent: then it has been counted.
    /// - Parameter hasStandIn: whether another daemon can be asked instead.
    fileprivate mutating func admit(hasStandIn: Bool, _ now: Duration) -> Bool {
        guard health.admit(hasStandIn: hasStandIn, now: now) != .no else { return false }
        count()
        return true
    }

    fileprivate mutating func admitIfTrusted(_ now: Duration) -> Bool {
        health.isTrusted(now: now) && admit(hasStandIn: true, now)
    }

    fileprivate mutating func insisted() {
        health.insisted()
        count()
    }

    private mutating func count() {
        load.requested()
        counts.requests += 1
    }

    /// Whether others go before it: it is warming up and has not come to this object yet, or has its part of the load.
    fileprivate mutating func isHeld(_ point: Double, _ bound: Int, _ now: Duration) -> Bool {
        health.share(now: now) <= point || load.amount(now: now) > bound
    }

    /// A request has ended.
    /// - Parameter duration: that it took; `nil` if that tells nothing of the daemon.
    mutating func note(_ outcome: L2Client.Outcome, after duration: Duration?, now: Duration) {
        var bytes = 0
        switch outcome {
        case .right(let count):
            bytes = count
            counts.hits += 1
            counts.bytes += count
            if let duration { times.add(duration) }
        case .miss: counts.misses += 1
        case .wrong, .failed: counts.errors += 1
        case .shed: counts.sheds += 1
        case .unread: break
        }
        load.ended(bytes: bytes, now: now)
    }
}
