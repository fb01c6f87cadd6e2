internal import CacheChunks
internal import NIOCore

/// Lease table: who fills which chunk, and who stands in line for it. A pure value; its users tell waiters of their
/// turn.
///
/// A lease is permission to fill for all and nothing more: a PUT is valid by its hash, whoever sends it, and ends the
/// lease. Its token only lets the holder give it up.
struct LeaseTable<Client: Sendable>: Sendable {
    /// A request that stands in line. Numbers are never used again.
    struct Waiter: Sendable {
        let number: UInt64
        let client: Client
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

    private struct Line {
        var token: LeaseToken
        var end: NIODeadline
        var waiters: [Waiter] = []
    }

    var limits: ServerLimits
    private var lines: [ChunkID: Line] = [:]
    private var recent = RecentFills()
    private var nextNumber: UInt64 = 0
    private var counts = LeaseUsage()

    init(limits: ServerLimits) {
        self.limits = limits
    }

    var usage: LeaseUsage {
        var usage = counts
        usage.leases = lines.count
        return usage
    }

    /// A request has missed a chunk.
    /// - Parameters:
    ///   - client: who is to be told if it stands in line; `nil` for one that does not wait.
    ///   - looksAgain: whether it would read the chunk again if that has come just now.
    mutating func ask(_ id: ChunkID, waiting client: Client?, looksAgain: Bool, at now: NIODeadline) -> Answer {
        if looksAgain, recent.contains(id) { return .justFilled }
        guard let line = lines[id] else { return give(id, at: now) }
        if line.waiters.isEmpty, line.end <= now {
            counts.expired += 1
            lines[id] = nil
            return give(id, at: now)
        }
        guard let client else { return .no }
        guard counts.waiters < limits.leaseWaiters.total, line.waiters.count < limits.leaseWaiters.perChunk else {
            counts.refused += 1
            return .no
        }
        nextNumber += 1
        counts.waits += 1
        counts.waiters += 1
        lines[id]?.waiters.append(Waiter(number: nextNumber, client: client))
        return .inLine(nextNumber)
    }

    private mutating func give(_ id: ChunkID, at now: NIODeadline) -> Answer {
        guard lines.count < limits.leases else {
            counts.refused += 1
            return .no
        }
        let token = LeaseToken.random()
        lines[id] = Line(token: token, end: now + TimeAmount(limits.leaseTime))
        counts.given += 1
        return .lease(token)
    }

    /// A chunk has come, from whomever; those who stood in line for it.
    mutating func filled(_ id: ChunkID) -> [Waiter] {
        recent.insert(id)
        guard let line = lines.removeValue(forKey: id) else { return [] }
        counts.waiters -= line.waiters.count
        counts.waitsFilled += line.waiters.count
        return line.waiters
    }

    /// The holder of a lease gives it up: the next in line has it then, if there is one. Any other token changes
    /// nothing.
    mutating func giveUp(_ id: ChunkID, _ token: LeaseToken, at now: NIODeadline) -> GivenUp {
        guard lines[id]?.token == token else { return .notHeld }
        counts.givenUp += 1
        return handOn(id, at: now).map { .handedOn($0) } ?? .ended
    }

    /// A request leaves the line without the chunk.
    mutating func leave(_ id: ChunkID, _ number: UInt64) {
        guard let index = lines[id]?.waiters.firstIndex(where: { $0.number == number }) else { return }
        lines[id]?.waiters.remove(at: index)
        counts.waiters -= 1
        counts.waitsInVain += 1
    }

    /// Ends the leases whose time is over; those that passed on.
    mutating func expire(at now: NIODeadline) -> [HandedOn] {
        guard !lines.isEmpty else { return [] }
        let over = lines.filter { $0.value.end <= now }.keys
        counts.expired += over.count
        return over.compactMap { handOn($0, at: now) }
    }

    private mutating func handOn(_ id: ChunkID, at now: NIODeadline) -> HandedOn? {
        guard var line = lines[id], !line.waiters.isEmpty else {
            lines[id] = nil
            return nil
        }
        let next = line.waiters.removeFirst()
        line.token = LeaseToken.random()
        line.end = now + TimeAmount(limits.leaseTime)
        lines[id] = line
        counts.waiters -= 1
        counts.given += 1
        counts.waitsLeased += 1
        return HandedOn(id: id, waiter: next, token: line.token)
    }
}
