internal import CacheChunks
internal import NIOCore

/// Lease table: who fills which chunk, and who stands in line for it. A value; its users tell waiters of their turn.
///
/// A lease is permission to fill for all and nothing more: a PUT is valid by its hash, whoever sends it, and ends the
/// lease. Its token only lets the holder give it up.
///
/// It holds for a time from when its holder was heard last: that of its request, or, where the request named a worker,
/// of anything that came on any connection of that worker.
struct LeaseTable<Client: Sendable>: Sendable {
    /// Who asks for a chunk that was missed.
    struct Asker: Sendable {
        /// Who is told if it stands in line; `nil` for one that does not wait.
        var client: Client?
        /// Whether it may have the lease. One that only reads stands in line behind others' fills.
        var mayFill = true
        var worker: LeaseWorker?
        /// Whether it would read the chunk again if that has come just now.
        var looksAgain = true
    }

    /// A request that stands in line. Numbers are never used again.
    struct Waiter: Sendable {
        let number: UInt64
        let client: Client
        fileprivate let mayFill: Bool
        fileprivate let worker: LeaseWorker?
    }

    /// A lease that passed on to the first in line.
    struct HandedOn: Sendable {
        let id: ChunkID
        let waiter: Waiter
        let token: LeaseToken
    }

    /// What became of a lease whose holder wants it no more.
    enum GivenUp: Sendable {
        /// Who says so does not hold it.
        case notHeld
        case ended
        case handedOn(HandedOn)
    }

    enum Answer: Sendable {
        /// The lease is the asker's.
        case lease(LeaseToken)
        /// It stands in line, under this number.
        case inLine(UInt64)
        /// The chunk has come just now: it is to be read again.
        case justFilled
        /// Neither: it would not wait, or there is no room.
        case no
    }

    private struct Lease {
        let token = LeaseToken.random()
        let given: NIODeadline
        let worker: LeaseWorker?
        var end: NIODeadline
        /// Its time was over when that was looked at last.
        var isOverdue = false
    }

    private struct Line {
        /// `nil` where nobody in line may fill: the next who may has it.
        var lease: Lease?
        var waiters: [Waiter] = []
    }

    /// For how many times its time a worker that is heard may keep a lease: it may read, and what it reads may hang.
    static var longestInTimes: Int { 10 }

    var limits: ServerLimits
    private var lines: [ChunkID: Line] = [:]
    private var workers = LeaseWorkers()
    private var recent = RecentFills()
    private var nextNumber: UInt64 = 0
    private var counts = LeaseUsage()

    init(limits: ServerLimits) {
        self.limits = limits
    }

    var usage: LeaseUsage {
        var usage = counts
        usage.leases = lines.values.count { $0.lease != nil }
        return usage
    }

    /// A request has missed a chunk.
    mutating func ask(_ id: ChunkID, _ asker: Asker, at now: NIODeadline) -> Answer {
        if asker.looksAgain, recent.contains(id) { return .justFilled }
        guard let line = lines[id] else { return asker.mayFill ? give(id, to: asker.worker, at: now) : .no }
        guard let lease = line.lease else {
            return asker.mayFill ? give(id, to: asker.worker, at: now) : .no
        }
        if asker.mayFill, line.waiters.isEmpty, end(of: lease, at: now) <= now {
            counts.expired += 1
            endLease(of: id)
            return give(id, to: asker.worker, at: now)
        }
        guard let client = asker.client else { return .no }
        guard counts.waiters < limits.leaseWaiters.total, line.waiters.count < limits.leaseWaiters.perChunk else {
            counts.refused += 1
            return .no
        }
        nextNumber += 1
        counts.waits += 1
        counts.waiters += 1
        lines[id]?.waiters.append(
            Waiter(number: nextNumber, client: client, mayFill: asker.mayFill, worker: asker.worker))
        return .inLine(nextNumber)
    }

    private mutating func give(_ id: ChunkID, to worker: LeaseWorker?, at now: NIODeadline) -> Answer {
        guard lines[id] != nil || lines.count < limits.leases else {
            counts.refused += 1
            return .no
        }
        return .lease(startLease(of: id, worker, at: now))
    }

    private mutating func startLease(of id: ChunkID, _ worker: LeaseWorker?, at now: NIODeadline) -> LeaseToken {
        let lease = Lease(given: now, worker: worker, end: now + TimeAmount(limits.leaseTime))
        lines[id, default: Line()].lease = lease
        if let worker { workers.hold(id, worker) }
        counts.given += 1
        return lease.token
    }

    private mutating func endLease(of id: ChunkID) {
        if let worker = lines[id]?.lease?.worker { workers.drop(id, worker) }
        lines[id]?.lease = nil
    }

    /// A chunk has come, from whomever; those who stood in line for it.
    mutating func filled(_ id: ChunkID) -> [Waiter] {
        recent.insert(id)
        endLease(of: id)
        guard let line = lines.removeValue(forKey: id) else { return [] }
        counts.waiters -= line.waiters.count
        counts.waitsFilled += line.waiters.count
        return line.waiters
    }

    /// Whether that is the token of the lease that is out.
    func isHeld(_ id: ChunkID, _ token: LeaseToken) -> Bool { lines[id]?.lease?.token == token }

    /// The holder of a lease gives it up: the next in line has it then, if there is one. Any other token changes
    /// nothing.
    mutating func giveUp(_ id: ChunkID, _ token: LeaseToken, at now: NIODeadline) -> GivenUp {
        guard isHeld(id, token) else { return .notHeld }
        counts.givenUp += 1
        return handOn(id, at: now).map { .handedOn($0) } ?? .ended
    }

    /// A request leaves the line without the chunk.
    mutating func leave(_ id: ChunkID, _ number: UInt64) {
        guard let index = lines[id]?.waiters.firstIndex(where: { $0.number == number }) else { return }
        lines[id]?.waiters.remove(at: index)
        counts.waiters -= 1
        counts.waitsInVain += 1
        forgetIfEmpty(id)
    }

    /// Ends the leases whose time is over; those that passed on.
    ///
    /// Only what is found so twice ends: what had come in time, and was not read because the daemon was late itself, is
    /// read between two looks.
    mutating func expire(at now: NIODeadline) -> [HandedOn] {
        var handedOn: [HandedOn] = []
        for (id, line) in lines {
            guard var lease = line.lease, lease.end <= now else { continue }
            lease.end = end(of: lease, at: now)
            if lease.end <= now, lease.isOverdue {
                counts.expired += 1
                if let next = handOn(id, at: now) { handedOn.append(next) }
            } else {
                lease.isOverdue = lease.end <= now
                lines[id]?.lease = lease
            }
        }
        return handedOn
    }

    /// When a lease ends if its holder is not heard any more.
    private func end(of lease: Lease, at now: NIODeadline) -> NIODeadline {
        guard let worker = lease.worker else { return lease.end }
        let time = TimeAmount(limits.leaseTime)
        return max(lease.end, min(worker.heard + time, lease.given + time * Self.longestInTimes))
    }

    private mutating func handOn(_ id: ChunkID, at now: NIODeadline) -> HandedOn? {
        endLease(of: id)
        guard let next = lines[id]?.waiters.firstIndex(where: \.mayFill),
            let waiter = lines[id]?.waiters.remove(at: next)
        else {
            forgetIfEmpty(id)
            return nil
        }
        counts.waiters -= 1
        counts.waitsLeased += 1
        return HandedOn(id: id, waiter: waiter, token: startLease(of: id, waiter.worker, at: now))
    }

    private mutating func forgetIfEmpty(_ id: ChunkID) {
        if let line = lines[id], line.lease == nil, line.waiters.isEmpty { lines[id] = nil }
    }

    // MARK: Workers

    /// How many workers have connections.
    var connectedWorkers: Int { workers.connected }

    /// A connection names its worker.
    mutating func join(_ name: LeaseWorker.Name, at now: NIODeadline) -> LeaseWorker { workers.join(name, at: now) }

    /// A connection of a worker has ended.
    /// - Parameter isByClient: whether the client has ended it: one that has ended all is gone, and what it held passes
    ///   on at once.
    mutating func depart(_ worker: LeaseWorker, isByClient: Bool, at now: NIODeadline) -> [HandedOn] {
        let held = workers.depart(worker)
        guard isByClient else { return [] }
        counts.givenUp += held.count
        return held.compactMap { handOn($0, at: now) }
    }
}
