internal import NIOCore
internal import Synchronization

/// Who may have a connection when not all can.
///
/// A connection that nobody uses is worth less than one that somebody asks for: once the limit is reached, a new one takes the place
/// of one that waits. Where all work, the new one is a guest: it may ask how the daemon is, and is told to come again otherwise.
extension Lane {
    enum Admission { case serve, guest, drop }

    /// How a connection stands by, and for which reason it may have to go.
    enum Standing: Int, CaseIterable {
        /// No request of it has been answered yet, or the head of its next one has come in part: what floods and slow heads look like.
        case unproven
        /// Kept alive between two requests.
        case idle
        /// Answered for the last time, and waiting for the client to close.
        case leaving
        /// Beyond the limit, and its head has not come yet, or it is answered.
        case guest
    }

    /// How long a head may be on its way before its connection gives way ahead of those that have proven themselves.
    private static let grace = TimeAmount.seconds(1)

    func admit(_ connection: ConnectionHandler, at now: NIODeadline) -> Admission {
        register(connection)
        if isDraining { return .drop }
        let open = regularConnections
        if open <= limits.connections || makePlace(open, now) {
            stand(connection, as: .unproven, since: now)
            return .serve
        }
        isCrowded = true
        metrics.refusedConnections += 1
        if !enterAsGuest(connection) {
            guard let oldest = lists[Standing.guest.rawValue].first else { return .drop }
            oldest.cut()
            guard enterAsGuest(connection, instead: oldest) else { return .drop }
        }
        stand(connection, as: .guest, since: now)
        return .guest
    }

    /// Has a connection that waits give way; false if none does.
    private func makePlace(_ open: Int, _ now: NIODeadline) -> Bool {
        if let victim = victim(at: now) {
            evict(victim)
            return true
        }
        // What another event loop closes is still counted for a moment.
        return open <= limits.connections + limits.guests && evictElsewhere()
    }

    /// Who gives way to a new connection: a head that has been long on its way, or all of them once they take half of the room, as in a
    /// flood; then who has been idle for longest, who is leaving, and at last the oldest of those that came just now.
    private func victim(at now: NIODeadline) -> ConnectionHandler? {
        let unproven = lists[Standing.unproven.rawValue]
        if let first = unproven.first,
            first.standsSince <= now - Self.grace || unproven.count > limits.connections / 2
        {
            return first
        }
        return lists[Standing.idle.rawValue].first ?? lists[Standing.leaving.rawValue].first ?? unproven.first
    }

    private func evict(_ connection: ConnectionHandler) {
        metrics.evictedConnections += 1
        connection.cut()
    }

    /// Has another event loop close a connection that waits there; false if none has any.
    private func evictElsewhere() -> Bool {
        guard let peer = peers.first(where: { $0.standby.count.load(ordering: .relaxed) > 0 }) else { return false }
        peer.lane.eventLoop.execute {
            let lane = peer.lane.value
            if let victim = lane.victim(at: lane.now) { lane.evict(victim) }
        }
        return true
    }

    /// Notes how a connection waits from now on, or that it does not (`nil`).
    func stand(_ connection: ConnectionHandler, as standing: Standing?, since now: NIODeadline) {
        if let old = connection.standing { lists[old.rawValue].remove(connection) }
        connection.standing = standing
        connection.standsSince = now
        if let standing { lists[standing.rawValue].append(connection) }
        let waiting = lists[Standing.unproven.rawValue].count + lists[Standing.idle.rawValue].count
        standby.count.store(waiting + lists[Standing.leaving.rawValue].count, ordering: .relaxed)
    }
}

/// How many connections of one event loop wait and could give way; written by that loop alone.
final class Standby: Sendable {
    let count = Atomic<Int>(0)
}

/// Another event loop, as seen from one.
struct Peer: Sendable {
    let lane: NIOLoopBound<Lane>
    let standby: Standby
}
