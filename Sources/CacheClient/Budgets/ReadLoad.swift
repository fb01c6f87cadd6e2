internal import CacheCore
internal import NIOConcurrencyHelpers

/// The reads that are under way below L1, and for how long at least one reader has waited for one: what a tier costs
/// its readers.
///
/// A read ahead that waits for a tier costs nothing until its reader comes to that chunk.
final class ReadLoad: Sendable {
    private struct State {
        var underWay = 0
        var waiting = 0
        /// Up to ``changedAt``.
        var waited = Duration.zero
        var changedAt = Duration.zero
    }

    let machine: MachineLoad
    /// What reads that nobody waits for yet stand back for.
    let demand = DemandGate()
    private let state = NIOLockedValueBox(State())
    private let time: TimeSource

    init(time: TimeSource, machine: MachineLoad = MachineLoad()) {
        self.time = time
        self.machine = machine
    }

    /// A read has come to where it may ask L2 or L3.
    /// - Parameter isAhead: no reader waits for it yet.
    func began(isAhead: Bool) {
        if !isAhead { demand.enter() }
        state.withLockedValue { state in
            state.underWay += 1
            if !isAhead { count(1, &state) }
        }
    }

    func ended(isAhead: Bool) {
        if !isAhead { demand.leave() }
        state.withLockedValue { state in
            state.underWay -= 1
            if !isAhead { count(-1, &state) }
        }
    }

    /// Waits for a read that began ahead.
    func waiting<T>(_ body: () async throws -> T) async rethrows -> T {
        state.withLockedValue { count(1, &$0) }
        defer { state.withLockedValue { count(-1, &$0) } }
        return try await body()
    }

    /// At least one: who asks.
    var readers: Int { max(state.withLockedValue { $0.underWay }, 1) }

    /// For how long at least one reader has waited so far.
    var waited: Duration {
        state.withLockedValue { state in
            count(0, &state)
            return state.waited
        }
    }

    private func count(_ change: Int, _ state: inout State) {
        let now = time.now()
        if state.waiting > 0 { state.waited += now - state.changedAt }
        state.changedAt = now
        state.waiting += change
    }
}
