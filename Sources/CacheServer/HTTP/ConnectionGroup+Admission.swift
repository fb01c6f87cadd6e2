internal import NIOCore
internal import Synchronization

/// Carries out what ``ConnectionAdmission`` decides.
extension ConnectionGroup {
    /// How many connections of one event loop may be closed for new ones; written by that loop alone.
    final class EvictableCount: Sendable {
        let value = Atomic<Int>(0)
    }

    /// Another event loop, as seen from one.
    struct Neighbour: Sendable {
        let group: NIOLoopBound<ConnectionGroup>
        let evictable: EvictableCount
    }

    /// What event loops see of one another.
    struct Neighbours {
        let ownEvictable = EvictableCount()
        /// All the others, from the start of the daemon to its end.
        var others: [Neighbour] = []
    }

    /// Takes in a new connection, or not; another one may be closed for it.
    func admit(_ connection: ConnectionHandler, at now: NIODeadline) -> ConnectionAdmission.Outcome {
        register(connection)
        if lifetime.isStopping { return .dropped }
        let open = openConnections
        let decision = admission.decide(open: open, at: now, elsewhere: { neighbours.firstWithEvictable })
        if decision != .serve { services.state.isCrowded.store(true, ordering: .relaxed) }
        switch decision {
        case .serve: break
        case .replace(let id): evict(id)
        case .replaceElsewhere(let index): evictElsewhere(index)
        case .probeOnly:
            metrics.connections.refused += 1
            guard admitProbe() else {
                metrics.countShed(.connections)
                return .dropped
            }
            makeEvictable(connection, as: .probeOnly, at: now)
            return .probeOnly
        }
        makeEvictable(connection, as: .unproven, at: now)
        return .served
    }

    private func register(_ connection: ConnectionHandler) {
        let id = admission.add()
        connection.id = id
        connections[id] = connection
        metrics.connections.accepted += 1
        hold(connection.heldBytes)
        services.state.openConnections.wrappingAdd(1, ordering: .relaxed)
    }

    /// Connections that are open now over all event loops, without probe-only ones.
    private var openConnections: Int {
        services.state.openConnections.load(ordering: .relaxed)
            - services.state.probeConnections.load(ordering: .relaxed)
    }

    /// Finds room for one more probe-only connection, if need be by closing the oldest one here; false if there is
    /// none.
    private func admitProbe() -> Bool {
        if countProbe(upTo: limits.probeConnections) { return true }
        guard let oldest = admission.order.first(of: .probeOnly) else { return false }
        connections[oldest]?.cut()
        // It may still be counted.
        return countProbe(upTo: limits.probeConnections + (connections[oldest] == nil ? 0 : 1))
    }

    private func countProbe(upTo most: Int) -> Bool {
        let probes = services.state.probeConnections.wrappingAdd(1, ordering: .relaxed).newValue
        if probes <= most { return true }
        services.state.probeConnections.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    private func evict(_ id: ConnectionID) {
        metrics.connections.evicted += 1
        connections[id]?.cut()
    }

    /// Has another event loop close one of its connections.
    private func evictElsewhere(_ index: Int) {
        let group = neighbours.others[index].group
        group.eventLoop.execute {
            if let victim = group.value.admission.victim(at: group.value.now) { group.value.evict(victim) }
        }
    }

    func remove(_ connection: ConnectionHandler) {
        guard let id = connection.id else { return }
        connection.id = nil
        connections[id] = nil
        admission.remove(id)
        hold(-connection.heldBytes)
        countEvictable()
        services.state.openConnections.wrappingSubtract(1, ordering: .relaxed)
        if connection.machine.isProbeOnly {
            services.state.probeConnections.wrappingSubtract(1, ordering: .relaxed)
        }
        finishStopping()
    }

    /// From `now` on a connection may be closed for a new one.
    func makeEvictable(_ connection: ConnectionHandler, as members: EvictionOrder.Class, at now: NIODeadline) {
        guard let id = connection.id else { return }
        admission.makeEvictable(id, as: members, at: now)
        countEvictable()
    }

    /// A connection may not be closed for a new one any more.
    func protect(_ connection: ConnectionHandler) {
        guard let id = connection.id else { return }
        admission.protect(id)
        countEvictable()
    }

    /// A part of a head has come on a connection.
    func noteIncompleteHead(_ connection: ConnectionHandler) {
        guard let id = connection.id else { return }
        admission.noteIncompleteHead(id, at: now)
    }

    /// A connection with a request under way is slow with it, or is so no more.
    func note(_ connection: ConnectionHandler, isSlow: Bool, at now: NIODeadline) {
        guard let id = connection.id else { return }
        admission.note(id, isSlow: isSlow, at: now)
        countEvictable()
    }

    private func countEvictable() {
        neighbours.ownEvictable.value.store(admission.evictable, ordering: .relaxed)
    }
}

extension ConnectionGroup.Neighbours {
    /// The number of the first event loop with a connection that could give way.
    fileprivate var firstWithEvictable: Int? {
        others.firstIndex { $0.evictable.value.load(ordering: .relaxed) > 0 }
    }
}
