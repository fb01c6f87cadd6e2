internal import CacheAccess
internal import CacheChunks
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// Connection group: the connections of one event loop and what they share, which is counters, the in-flight budget,
/// deadlines and reads under way.
///
/// Confined to its event loop, so nothing here is locked. One sweep a tick looks after all deadlines: scheduling and
/// cancelling a timer for each request costs more than serving a chunk from memory.
final class ConnectionGroup {
    /// What all groups of a daemon share.
    struct Services: Sendable {
        var limits: ServerLimits
        let tiers: ChunkTiers
        let reports: DamageReports
        let scrubber: Scrubber
        let leases: LeaseBook
        let control: any ControlResponder
        let state: ServerState
        let access: ServerAccess
        let time: ServerTime
        let logger: Logger
    }

    /// When what has come is dealt with.
    struct Turns {
        let newcomers: NewcomerTurns
        let order: AnswerOrder
    }

    let eventLoop: any EventLoop
    private(set) var services: Services
    var metrics = RequestMetrics()
    var heads = ResponseHeads()
    var connections: [ConnectionID: ConnectionHandler] = [:]
    var admission: ConnectionAdmission
    /// Other event loops, whose connections may give way to one of this.
    var neighbours = Neighbours()
    var lifetime = Lifetime()
    private(set) var queue: AdmissionQueue
    let turns: Turns
    /// Connections that wait for a chunk which is being read from the store.
    private var reads: [ChunkID: [ConnectionHandler]] = [:]
    private var notices = Notices()

    /// - Parameter share: how many groups there are; each gets an even part of the in-flight budget.
    init(on eventLoop: any EventLoop, share: Int, services: Services) {
        self.eventLoop = eventLoop
        self.services = services
        turns = Turns(newcomers: NewcomerTurns(on: eventLoop), order: AnswerOrder(on: eventLoop))
        let limits = services.limits
        admission = ConnectionAdmission(limit: limits.connections, probeLimit: limits.probeConnections)
        queue = AdmissionQueue(
            InFlightBudget(
                bytes: limits.bytesInFlight / share, requests: max(limits.requestsInFlight / share, 1),
                largest: limits.largestBody))
    }

    var limits: ServerLimits { services.limits }
    var tiers: ChunkTiers { services.tiers }
    var control: any ControlResponder { services.control }
    var logger: Logger { services.logger }
    var now: NIODeadline { services.time.now() }

    /// The counters, with the present filled in.
    var snapshot: RequestMetrics {
        var metrics = metrics
        metrics.present = RequestMetrics.Present(
            connections: connections.count, bytesInFlight: queue.budget.bytes, requestsInFlight: queue.budget.requests)
        return metrics
    }

    /// Other tokens count from now on, for requests on open connections, too.
    func tokensChanged(_ tokens: TokenList) {
        for connection in connections.values { connection.tokensChanged(tokens) }
    }

    /// Other limits count from now on, on open connections, too.
    func limitsChanged(_ limits: ServerLimits) {
        services.limits = limits
        admission.change(limit: limits.connections, probeLimit: limits.probeConnections)
        for connection in connections.values { connection.limitsChanged(limits) }
    }

    /// Counts a request whose response is out, and returns its part of the budget.
    func finish(_ request: FinishedRequest, at now: NIODeadline) {
        if request.status.code < 300 {
            let nanoseconds = (now - request.started).nanoseconds
            switch request.operation {
            case .get where request.isFromMemory: metrics.memorySeconds.record(nanoseconds: nanoseconds)
            case .get: metrics.diskSeconds.record(nanoseconds: nanoseconds)
            case .put: metrics.putSeconds.record(nanoseconds: nanoseconds)
            case .head, .missing, .damaged, .giveUp, .checkLease, .control, .page, .refuse: break
            }
        }
        if let reservation = request.reservation { release(reservation) }
    }

    // MARK: The in-flight budget

    /// Reserves for a request at once; false, with nothing changed, if it has to wait.
    func reserve(_ wanted: InFlightBudget.Reservation) -> Bool { queue.reserve(wanted) }

    /// Counts a request that never waits, and takes no bytes.
    func reserveUnconditionally() -> InFlightBudget.Reservation {
        queue.reserveUnconditionally()
        return InFlightBudget.Reservation(bytes: 0, purpose: .response)
    }

    /// How long a request would wait if it came into line now.
    func expectedWait(for purpose: InFlightBudget.Purpose) -> TimeAmount {
        queue.expectedWait(for: purpose)
    }

    /// Puts a request in line; ``ConnectionHandler/granted(_:)`` is called when its turn comes.
    func enqueue(_ connection: ConnectionHandler, _ wanted: InFlightBudget.Reservation) {
        guard let id = connection.id else { return }
        metrics.requests.waits += 1
        queue.enqueue(AdmissionQueue.Waiter(connection: id, wanted: wanted))
    }

    func leaveQueue(_ connection: ConnectionHandler) {
        guard let id = connection.id else { return }
        queue.withdraw(id)
        grant()
    }

    /// Returns a part of what a request has reserved, while the request goes on.
    func shrink(_ surplus: InFlightBudget.Reservation) {
        queue.shrink(surplus.purpose, by: surplus.bytes)
        grant()
    }

    /// Counts what a connection holds itself for as long as it is open: there is less for requests then.
    func hold(_ bytes: Int) {
        if bytes == 0 { return }
        queue.connectionsHold(bytes)
        if bytes < 0 { grant() }
    }

    func release(_ reservation: InFlightBudget.Reservation) {
        queue.release(reservation)
        grant()
        finishSettling()
    }

    /// Lets requests go on whose turn has come. A request that is answered within this loop returns its part to the
    /// same loop.
    private func grant() {
        guard queue.hasWaiters, !queue.isGranting else { return }
        queue.isGranting = true
        while let waiter = queue.admitNext() {
            queue.turned(waiter.wanted.purpose, at: now)
            connections[waiter.connection]?.granted(waiter.wanted)
        }
        queue.isGranting = false
    }

    // MARK: Reads

    /// Reads a chunk from the store once, however many connections ask for it meanwhile.
    func read(_ id: ChunkID, for connection: ConnectionHandler) {
        if reads[id]?.append(connection) != nil { return }
        reads[id] = [connection]
        tiers.read(id, on: eventLoop).assumeIsolated().whenComplete { [self] result in
            for connection in reads.removeValue(forKey: id) ?? [] { connection.completeRead(id, result) }
        }
    }

    /// What an operator is to be told, however often it happens.
    private struct Notices {
        /// Failures of the store since the last sweep: one line a tick.
        var failures = (count: 0, first: "")
        /// Clients that speak plain HTTP where TLS is spoken: one line a minute.
        var plainRequests = (count: 0, first: "")
        var nextPlainLine = NIODeadline.uptimeNanoseconds(0)
    }

    func report(_ error: any Error) {
        if notices.failures.count == 0 { notices.failures.first = "\(error)" }
        notices.failures.count += 1
    }

    func logStoreFailures() {
        let (count, first) = notices.failures
        guard count > 0 else { return }
        logger.warning("the store failed", metadata: ["requests": "\(count)", "error": "\(first)"])
        notices.failures = (0, "")
    }

    func plainRequestCame(from address: SocketAddress?) {
        if notices.plainRequests.count == 0 { notices.plainRequests.first = address?.ipAddress ?? "unknown" }
        notices.plainRequests.count += 1
    }

    func logPlainRequests(_ now: NIODeadline) {
        let (count, first) = notices.plainRequests
        guard count > 0, notices.nextPlainLine <= now else { return }
        logger.warning(
            "a client speaks plain HTTP to this port, which serves TLS alone: give it https:// instead of http://",
            metadata: ["requests": "\(count)", "client": "\(first)"])
        notices.plainRequests = (0, "")
        notices.nextPlainLine = now + .minutes(1)
    }
}
