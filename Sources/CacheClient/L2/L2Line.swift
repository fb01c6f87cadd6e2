internal import NIOConcurrencyHelpers

/// Where a request for a chunk is: in the line for a connection, on its way, or in line at the daemon for a fill by
/// another worker. What it waits for fills is not the daemon's fault.
final class L2Line: Sendable {
    enum Stage: Equatable {
        /// Waits for a connection.
        case queued
        case sent(at: Duration)
        /// The daemon has said that it waits for a fill.
        case inLine(since: Duration)
        case ended
    }

    private struct State {
        var stage = Stage.queued
        var heldUp = Duration.zero
        var inLine = Duration.zero
    }

    private let state = NIOLockedValueBox(State())

    var stage: Stage { state.withLockedValue { $0.stage } }

    /// How long it waited for a connection because others were in line.
    var heldUp: Duration { state.withLockedValue { $0.heldUp } }

    /// How long it was in line, so far as that is over.
    var inLine: Duration { state.withLockedValue { $0.inLine } }

    /// It has a connection; `heldUp` of its time it had none because others were in line.
    func sent(at now: Duration, heldUp: Duration) {
        state.withLockedValue { state in
            state.stage = .sent(at: now)
            state.heldUp = heldUp
        }
    }

    func began(at now: Duration) {
        state.withLockedValue { state in
            if case .sent = state.stage { state.stage = .inLine(since: now) }
        }
    }

    /// The daemon waits no longer, or the connection has ended.
    func left(at now: Duration) {
        state.withLockedValue { state in
            guard case .inLine(let since) = state.stage else { return }
            state.inLine += now - since
            state.stage = .sent(at: now)
        }
    }

    func ended() { state.withLockedValue { $0.stage = .ended } }
}

/// Whether requests of a pool of connections are in line at the daemon: others may wait for their connections then.
/// And whether the daemon has given leases lately: then it is filled by many at once.
final class L2Lines: Sendable {
    private let state = NIOLockedValueBox((count: 0, lastEnd: Duration.zero, lastLease: Duration.zero))
    /// A daemon that gave a lease, or had a request wait, that long ago is filled no more.
    private static let storm = Duration.seconds(5)

    func gaveLease(at now: Duration) { state.withLockedValue { $0.lastLease = now } }

    func isAmongFills(at now: Duration) -> Bool {
        state.withLockedValue { state in
            let last = max(state.lastEnd, state.lastLease)
            return state.count > 0 || (last > .zero && now - last < Self.storm)
        }
    }

    func entered() { state.withLockedValue { $0.count += 1 } }

    func left(at now: Duration) {
        state.withLockedValue { state in
            state.count -= 1
            state.lastEnd = now
        }
    }

    var isUsed: Bool { state.withLockedValue { $0.count > 0 } }

    /// When a request was in line last: `now`, or earlier.
    func lastUse(now: Duration) -> Duration { state.withLockedValue { $0.count > 0 ? now : $0.lastEnd } }
}
