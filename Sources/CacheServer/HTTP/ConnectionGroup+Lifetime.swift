internal import Logging
internal import NIOCore

/// From the start of a group through its sweeps to its end.
extension ConnectionGroup {
    struct Lifetime {
        var sweeper: RepeatedTask?
        /// Succeeds when the last connection has ended, or at the deadline.
        var stopped: EventLoopPromise<Void>?
        var stopDeadline = NIODeadline.distantFuture
        /// Succeeds when the last thread or task is done, or at the deadline.
        var settled: EventLoopPromise<Void>?
        var settleDeadline = NIODeadline.distantFuture
        var isStopping = false
        /// Whether its sweeps look after what is one for all, too: tokens, certificates, leases, the scrub.
        var isFirst = false
        /// What the scrub has been told of.
        var readsNoted = 0
    }

    /// Begins to sweep.
    /// - Parameters:
    ///   - others: the groups of all other event loops.
    ///   - isFirst: whether it is the one that looks after what is one for all.
    func start(beside others: [Neighbour], isFirst: Bool) {
        neighbours.others = others
        lifetime.isFirst = isFirst
        let tick = services.time.tick ?? limits.tick
        let group = NIOLoopBound(self, eventLoop: eventLoop)
        lifetime.sweeper = eventLoop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { _ in group.value.sweep() }
    }

    private func sweep() {
        let now = self.now
        heads.renewDate()
        services.scrubber.noteReads(metrics.reads.memoryHits - lifetime.readsNoted)
        lifetime.readsNoted = metrics.reads.memoryHits
        if lifetime.isFirst {
            services.access.look(at: now)
            services.scrubber.tick(at: now)
        }
        let isOver = lifetime.stopDeadline <= now
        for connection in Array(connections.values) {
            connection.noteProgress(now)
            note(connection, isSlow: connection.machine.isSlow(at: now), at: now)
            guard isOver || connection.machine.deadline <= now else { continue }
            if connection.machine.phase != .inLine { metrics.connections.timedOut += 1 }
            connection.expire(force: isOver)
        }
        expireStalled(now)
        if lifetime.isFirst { expireLeases(now) }
        logStoreFailures()
        logPlainRequests(now)
        if lifetime.settleDeadline <= now, let late = lifetime.settled.take() {
            logger.warning(
                "ending while the store still works", metadata: ["requests": "\(queue.budget.requests)"])
            late.succeed()
        }
    }

    /// Expires connections early whose request or response makes no progress while other clients wait.
    ///
    /// Where requests wait for the budget, one that holds some of it may stall, or take its response slowly, for half
    /// of ``ServerTimeouts/wait``;
    /// where clients find no connection, any one may stall for all of it.
    private func expireStalled(_ now: NIODeadline) {
        let isWanted = queue.hasWaiters
        let isCrowded = admission.isCrowded
        guard isWanted || isCrowded else { return }
        let wait = limits.timeouts.wait
        for connection in Array(connections.values) {
            let isInTheWay =
                isWanted && connection.machine.hasStalledWithBudget(since: now - TimeAmount(wait / 2), at: now)
                || isCrowded && connection.machine.hasStalled(since: now - TimeAmount(wait))
            guard isInTheWay else { continue }
            metrics.connections.timedOut += 1
            connection.expire(force: false)
        }
        admission.isCrowded = false
    }

    /// Ends idle connections now and the others after the request that they have under way, at the latest when `time`
    /// is over.
    /// - Returns: what succeeds when no connection is left.
    func stop(within time: Duration) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        lifetime.stopped = promise
        lifetime.isStopping = true
        lifetime.stopDeadline = now + TimeAmount(time)
        for connection in Array(connections.values) { connection.stop() }
        finishStopping()
        return promise.futureResult
    }

    func finishStopping() {
        if connections.isEmpty { lifetime.stopped.take()?.succeed() }
    }

    /// What succeeds when no thread or task works for this group any more, also not for a connection that is gone; at
    /// the latest when `time` is over, as a disk that hangs must not keep the daemon from ending.
    func settle(within time: Duration) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        lifetime.settled = promise
        lifetime.settleDeadline = now + TimeAmount(time)
        finishSettling()
        return promise.futureResult
    }

    func finishSettling() {
        if queue.budget.requests == 0 { lifetime.settled.take()?.succeed() }
    }

    /// Ends sweeping: the last call that a group gets.
    func end() {
        lifetime.sweeper?.cancel()
        // Groups refer to one another: this breaks the reference cycle.
        neighbours.others = []
    }
}

extension NIOLoopBound<ConnectionGroup> {
    /// The counters of a group, from any thread.
    func snapshot() async throws -> RequestMetrics {
        try await eventLoop.submit { value.snapshot }.get()
    }
}
