internal import CacheChunks
internal import NIOCore
internal import NIOHTTP1

/// What a connection knows of who asks on it.
struct LeaseAsker {
    /// The lease that was given out on the connection last.
    var lease: (id: ChunkID, token: LeaseToken)?
    /// Which worker its requests come from, if they say so.
    var worker: LeaseWorker?
    /// How many connections that has been told it may have.
    var toldShare: Int?
    /// More is nobody told.
    static let mostShare = 64
}

/// Misses and leases: who fills, and who waits for the fill (docs/decisions/0026-leases.md).
extension ConnectionHandler {
    /// Neither memory nor the store has the chunk of a GET.
    func missed(_ id: ChunkID, damaged: Bool) -> Action? {
        // `Prefer: wait=0` only looks.
        guard let plan = machine.request?.plan, plan.lease.wait != 0 else { return respondMiss(damaged: damaged) }
        let end = machine.lineEnd(at: group.now)
        let asking = LeaseTable<LeaseClient>.Asker(
            client: end == nil ? nil : group.leaseClient(self), mayFill: plan.mayFill, worker: asker.worker,
            looksAgain: machine.canLookAgain)
        switch group.askForLease(id, asking) {
        case .lease(let token):
            asker.lease = (id, token)
            return respondMiss(damaged: damaged, lease: token)
        case .no:
            return respondMiss(damaged: damaged)
        case .justFilled:
            machine.looksAgain()
            return get(id)
        case .inLine(let number):
            guard let end else { return respondMiss(damaged: damaged) }
            machine.stoodInLine(number, until: end)
            // What it had of the budget is for others while it waits.
            if let reservation = machine.takeReservation() { group.release(reservation) }
            tellInLine()
            return nil
        }
    }

    private func tellInLine() {
        guard let plan = machine.request?.plan, plan.lease.wantsProcessing, !plan.isVersion10 else { return }
        let share = takeNewShare().map { "\($0.name): \($0.value)\r\n" } ?? ""
        let line = ByteBuffer(string: "HTTP/1.1 102 Processing\r\n\(share)\r\n")
        outlet?.writeAndFlush(wrapOutboundOut(line), promise: nil)
    }

    /// The chunk has come for which the request `number` stood in line.
    func filled(_ number: UInt64) {
        guard machine.isInLine(number) else { return }
        run(machine.lookAgain(at: group.now))
    }

    /// The lease is the next one's: of the request `number`. False if that has left.
    func handedOn(_ token: LeaseToken, to number: UInt64) -> Bool {
        guard machine.isInLine(number) else { return false }
        machine.waitEnded(at: group.now)
        if case .get(let id)? = machine.request?.plan.operation { asker.lease = (id, token) }
        run(respondMiss(damaged: false, lease: token))
        return true
    }

    /// The request waits no longer: its time is over, the client has said its last, or the daemon stops.
    func giveUpWaiting() -> Action? {
        leaveLine()
        return respondMiss(damaged: false)
    }

    /// Takes the request out of its line, if it stands in one.
    func leaveLine() {
        guard let request = machine.request, let number = request.placeInLine,
            case .get(let id) = request.plan.operation
        else { return }
        machine.waitEnded(at: group.now)
        group.leaveLine(id, number)
    }

    // MARK: The holder

    /// A request says which worker it comes from.
    func noteWorker() {
        guard let plan = machine.request?.plan, plan.isLetIn, let name = plan.lease.worker,
            name != asker.worker?.name
        else { return }
        let joined = group.join(name)
        if let worker = asker.worker { group.depart(worker, isByClient: true) }
        asker.worker = joined
    }

    /// The field that tells a worker how many connections it may have for reads, if that is not what this connection
    /// has told it last.
    func takeNewShare() -> (name: String, value: String)? {
        guard asker.worker != nil, machine.request?.plan.isLetIn == true else { return nil }
        let share = min(group.connectionShare, LeaseAsker.mostShare)
        guard share != asker.toldShare else { return nil }
        asker.toldShare = share
        return ("Layercache-Connections", "\(share)")
    }

    /// The connection has ended. A client that ends the one on which it got a lease may never have seen it, or be dead;
    /// a worker is dead once it has ended all.
    func leaveLeases(isByClient: Bool) {
        if let worker = asker.worker.take() {
            group.depart(worker, isByClient: isByClient)
        } else if isByClient, let lease = asker.lease {
            _ = group.giveUpLease(lease.id, lease.token)
        }
        asker.lease = nil
    }

    /// A PUT has come to its end. A chunk that is here is for all who wait, whoever has put it; what is not here passes
    /// the lease on, if it is the holder who says so.
    func settleLease(_ id: ChunkID, _ result: Result<ChunkTiers.Taken, any Error>) {
        switch result {
        case .success(.stored), .success(.alreadyPresent):
            group.filled(id)
        case .failure where group.tiers.memory.chunk(id) != nil:
            group.filled(id)
        case .success(.notThatChunk), .failure:
            if let token = machine.request?.plan.lease.token { _ = group.giveUpLease(id, token) }
        }
    }

    /// Whether the lease is still the asker's: what a worker asks that has nothing else to say, so that it is heard.
    func checkLease(_ id: ChunkID) -> Action? {
        guard let token = machine.request?.plan.lease.token, group.isLeaseHeld(id, token) else {
            return respondLine(.notFound, "no such lease")
        }
        return respondLine(.ok, "held")
    }

    func giveUpLease(_ id: ChunkID) -> Action? {
        guard let token = machine.request?.plan.lease.token, group.giveUpLease(id, token) else {
            return respondLine(.notFound, "no such lease")
        }
        return respondLine(.ok, "given up")
    }
}
