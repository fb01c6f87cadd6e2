internal import CacheChunks
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import Synchronization

/// A connection that stands in line, as those see it who tell it of its turn.
struct LeaseClient: Sendable {
    let group: NIOLoopBound<ConnectionGroup>
    let connection: ConnectionID
}

/// The leases of a daemon, for all its event loops. Hits never come here.
typealias LeaseBook = NIOLockedValueBox<LeaseTable<LeaseClient>>

extension ConnectionGroup {
    func askForLease(
        _ id: ChunkID, _ asker: LeaseTable<LeaseClient>.Asker
    ) -> LeaseTable<LeaseClient>.Answer {
        let now = now
        return services.leases.withLockedValue { $0.ask(id, asker, at: now) }
    }

    /// A connection as those see it who tell it of its turn.
    func leaseClient(_ connection: ConnectionHandler) -> LeaseClient? {
        connection.id.map { LeaseClient(group: NIOLoopBound(self, eventLoop: eventLoop), connection: $0) }
    }

    /// A connection names its worker.
    func join(_ name: LeaseWorker.Name) -> LeaseWorker {
        let now = now
        return services.leases.withLockedValue { leases in
            defer { services.state.workers.store(leases.connectedWorkers, ordering: .relaxed) }
            return leases.join(name, at: now)
        }
    }

    /// A connection of a worker has ended, or names another one.
    func depart(_ worker: LeaseWorker, isByClient: Bool) {
        let now = now
        let handedOn = services.leases.withLockedValue { leases in
            defer { services.state.workers.store(leases.connectedWorkers, ordering: .relaxed) }
            return leases.depart(worker, isByClient: isByClient, at: now)
        }
        for next in handedOn { tell(next) }
    }

    /// Connections for reads that each worker may have now.
    var connectionShare: Int { limits.connectionShare(of: services.state.workers.load(ordering: .relaxed)) }

    func isLeaseHeld(_ id: ChunkID, _ token: LeaseToken) -> Bool {
        services.leases.withLockedValue { $0.isHeld(id, token) }
    }

    func leaveLine(_ id: ChunkID, _ number: UInt64) {
        services.leases.withLockedValue { $0.leave(id, number) }
    }

    /// A chunk is here: all who wait for it read it.
    func filled(_ id: ChunkID) {
        for waiter in services.leases.withLockedValue({ $0.filled(id) }) {
            let client = waiter.client
            client.group.eventLoop.execute { client.group.value.connections[client.connection]?.filled(waiter.number) }
        }
    }

    /// A holder gives its lease up. False, with nothing changed, if `token` is not the holder's.
    func giveUpLease(_ id: ChunkID, _ token: LeaseToken) -> Bool {
        let now = now
        switch services.leases.withLockedValue({ $0.giveUp(id, token, at: now) }) {
        case .notHeld: return false
        case .ended: break
        case .handedOn(let next): tell(next)
        }
        return true
    }

    func expireLeases(_ now: NIODeadline) {
        for next in services.leases.withLockedValue({ $0.expire(at: now) }) { tell(next) }
    }

    private func tell(_ next: LeaseTable<LeaseClient>.HandedOn) {
        let client = next.waiter.client
        client.group.eventLoop.execute {
            let group = client.group.value
            if group.connections[client.connection]?.handedOn(next.token, to: next.waiter.number) == true { return }
            // It has left meanwhile: on to the one after it.
            _ = group.giveUpLease(next.id, next.token)
        }
    }
}
