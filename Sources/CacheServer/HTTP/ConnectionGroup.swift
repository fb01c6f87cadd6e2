internal import CacheChunks
internal import Logging
internal import NIOCore
internal import Synchronization

/// One event loop's connections and what they share: room in flight, counters, deadlines, reads under way.
///
/// Confined to its event loop, so nothing here is locked. One sweep a tick looks after all deadlines: scheduling and
/// cancelling a timer for each request costs more than serving a chunk from memory.
final class Lane {
    let eventLoop: any EventLoop
    let limits: ServerLimits
    let tiers: ChunkTiers
    let control: any ControlResponder
    let logger: Logger
    let standby = Standby()
    var metrics = RequestMetrics()
    /// The other event loops, whose idle connections may give way to one of this.
    var peers: [Peer] = []
    /// Connections that wait, by how; see ``Standing``.
    var lists = Standing.allCases.map { _ in ConnectionList() }
    /// Whether a connection found no place since the last sweep.
    var isCrowded = false
    /// The present for `Date` fields, right to the tick.
    private(set) var date = HTTPDate.now()
    private(set) var isDraining = false

    private let state: ServerState
    private let time: ServerTime
    private var room: Room
    private var connections: [ObjectIdentifier: ConnectionHandler] = [:]
    /// Who waits for room, by what for: those who send must not stand in the way of those who read.
    private var lines = Room.Purpose.allCases.map { _ in CircularBuffer<ConnectionHandler>() }
    private var isGranting = false
    private var reads: [ChunkID: [ConnectionHandler]] = [:]
    private var failures = 0
    private var firstFailure = ""
    private var sweeper: RepeatedTask?
    private var drained: EventLoopPromise<Void>?
    private var settled: EventLoopPromise<Void>?
    private var drainDeadline = NIODeadline.distantFuture
    private var settleDeadline = NIODeadline.distantFuture

    /// - Parameter share: how many lanes there are; each gets an even part of what is in flight.
    init(
        on eventLoop: any EventLoop, share: Int, limits: ServerLimits, tiers: ChunkTiers, control: any ControlResponder,
        state: ServerState, time: ServerTime, logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.limits = limits
        self.tiers = tiers
        self.control = control
        self.state = state
        self.time = time
        self.logger = logger
        room = Room(
            bytes: limits.bytesInFlight / share, requests: max(limits.requestsInFlight / share, 1),
            largest: limits.largestBody)
    }

    func start() {
        let tick = time.tick ?? limits.tick
        let lane = NIOLoopBound(self, eventLoop: eventLoop)
        sweeper = eventLoop.scheduleRepeatedTask(initialDelay: tick, delay: tick) { _ in lane.value.sweep() }
    }

    func stop() {
        sweeper?.cancel()
        // They refer to one another.
        peers = []
    }

    /// The counters, with the present filled in.
    var snapshot: RequestMetrics {
        var metrics = metrics
        metrics.openConnections = connections.count
        metrics.bytesInFlight = room.bytes
        metrics.requestsInFlight = room.requests
        return metrics
    }

    // MARK: Connections

    var now: NIODeadline { time.now() }

    func register(_ connection: ConnectionHandler) {
        connections[ObjectIdentifier(connection)] = connection
        metrics.connectionsAccepted += 1
        state.openConnections.wrappingAdd(1, ordering: .relaxed)
    }

    /// Connections that are open now over all event loops, guests apart.
    var regularConnections: Int {
        state.openConnections.load(ordering: .relaxed) - state.guests.load(ordering: .relaxed)
    }

    /// Makes a connection a guest; false if there are as many as there may be.
    /// - Parameter leaving: a guest that was cut off for it, and may still be counted.
    func enterAsGuest(_ connection: ConnectionHandler, instead leaving: ConnectionHandler? = nil) -> Bool {
        let most = limits.guests + (leaving?.isCounted == true ? 1 : 0)
        guard state.guests.wrappingAdd(1, ordering: .relaxed).newValue <= most else {
            state.guests.wrappingSubtract(1, ordering: .relaxed)
            return false
        }
        connection.isGuest = true
        return true
    }

    func remove(_ connection: ConnectionHandler) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        stand(connection, as: nil, since: connection.standsSince)
        state.openConnections.wrappingSubtract(1, ordering: .relaxed)
        if connection.isGuest { state.guests.wrappingSubtract(1, ordering: .relaxed) }
        connection.isCounted = false
        finishDraining()
    }

    private func sweep() {
        let now = self.now
        date = HTTPDate.now()
        for connection in Array(connections.values) {
            connection.noteProgress(now)
            guard connection.deadline <= now || drainDeadline <= now else { continue }
            metrics.timeouts += 1
            connection.expire(force: drainDeadline <= now)
        }
        makeRoom(now)
        if failures > 0 {
            logger.warning("the store failed", metadata: ["requests": "\(failures)", "error": "\(firstFailure)"])
            failures = 0
        }
        if settleDeadline <= now, let late = settled.take() {
            logger.warning("ending while the store still works", metadata: ["requests": "\(room.requests)"])
            late.succeed()
        }
    }

    /// While others stand in line or find no connection, one that has something under way and does not move gives way before its time
    /// is over: one that holds room after half of the time in line, any other after all of it.
    private func makeRoom(_ now: NIODeadline) {
        let isWanted = lines.contains { !$0.isEmpty }
        guard isWanted || isCrowded else { return }
        for connection in Array(connections.values) {
            let isInTheWay =
                isWanted && connection.hasStoodOnRoom(since: now - TimeAmount(limits.waitTime / 2))
                || isCrowded && connection.hasStood(since: now - TimeAmount(limits.waitTime))
            guard isInTheWay else { continue }
            metrics.timeouts += 1
            connection.expire(force: false)
        }
        isCrowded = false
    }

    /// Notes a failure of the store: an operator gets one line a tick, however many there are.
    func report(_ error: any Error) {
        if failures == 0 { firstFailure = "\(error)" }
        failures += 1
    }

    // MARK: Room in flight

    /// Takes room for a request, or puts it in line: then `connection.roomGranted` is called when its turn comes.
    func takeRoom(_ bytes: Int, for purpose: Room.Purpose, of connection: ConnectionHandler) -> Bool {
        if lines[purpose.rawValue].isEmpty, room.take(bytes: bytes, for: purpose) { return true }
        metrics.waits += 1
        lines[purpose.rawValue].append(connection)
        return false
    }

    func enterWithoutLine() {
        room.enter()
    }

    func leaveLine(_ connection: ConnectionHandler) {
        for line in lines.indices { lines[line].removeAll { $0 === connection } }
        grant()
    }

    func shrinkRoom(_ bytes: Int, of purpose: Room.Purpose) {
        room.shrink(bytes: bytes, of: purpose)
        grant()
    }

    func giveRoom(_ bytes: Int, of purpose: Room.Purpose) {
        room.give(bytes: bytes, of: purpose)
        grant()
        finishSettling()
    }

    private func grant() {
        guard !isGranting else { return }
        isGranting = true
        for purpose in Room.Purpose.allCases {
            while let first = lines[purpose.rawValue].first, room.take(bytes: first.wantedRoom, for: purpose) {
                lines[purpose.rawValue].removeFirst()
                first.roomGranted()
            }
        }
        isGranting = false
    }

    // MARK: Reads

    /// Reads a chunk from the store once, however many connections ask for it meanwhile.
    func read(_ id: ChunkID, for connection: ConnectionHandler) {
        if reads[id]?.append(connection) != nil { return }
        reads[id] = [connection]
        tiers.read(id, on: eventLoop).assumeIsolated().whenComplete { [self] result in
            for connection in reads.removeValue(forKey: id) ?? [] { connection.completeRead(result) }
        }
    }

    // MARK: Shutdown

    /// Ends idle connections now and the others after the request that they have under way, at the latest when `time` is over.
    /// - Returns: what succeeds when no connection is left.
    func drain(within time: Duration) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        drained = promise
        isDraining = true
        drainDeadline = now + TimeAmount(time)
        for connection in Array(connections.values) { connection.drain() }
        finishDraining()
        return promise.futureResult
    }

    private func finishDraining() {
        guard connections.isEmpty else { return }
        drained?.succeed()
        drained = nil
    }

    /// What succeeds when no thread or task works for this lane any more, also not for a connection that is gone; at the latest when
    /// `time` is over, as a disk that hangs must not keep the daemon from ending.
    func settle(within time: Duration) -> EventLoopFuture<Void> {
        let promise = eventLoop.makePromise(of: Void.self)
        settled = promise
        settleDeadline = now + TimeAmount(time)
        finishSettling()
        return promise.futureResult
    }

    private func finishSettling() {
        guard room.requests == 0 else { return }
        settled?.succeed()
        settled = nil
    }
}
