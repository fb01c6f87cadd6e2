internal import CacheCore
internal import NIOConcurrencyHelpers

/// How much slower than on an idle machine everything is at the moment. What is slow because the machine is busy is not
/// the fault of a tier.
///
/// Two things tell, and the greater one counts: work of this process that needs nothing but a core, by what it takes
/// divided by the time that it had one; and how many tasks of other processes there are for each core, since a daemon
/// on the same machine has no more of it than they.
final class MachineLoad: Sendable {
    private struct State {
        var work = 1.0
        var crowd = 1.0
        /// When the machine was looked at last, in nanoseconds.
        var lookedAt: Int64 = 0
    }

    private let state = NIOLockedValueBox(State())
    private let queue: RunQueue?
    /// What a reader may wait for another's fill becomes no longer than that many of what it may on an idle machine.
    static let longestStretch = 4.0
    /// Work that is short meets a core that is busy or one that is not: what it says is rough.
    private static let mostOfWork = 4.0
    /// What is older than that many nanoseconds says nothing.
    private static let memory = 250_000_000.0

    /// - Parameter queue: of the machine; `nil` for one that nothing else runs on.
    init(_ queue: RunQueue? = nil) {
        self.queue = queue
    }

    /// At least 1.
    var factor: Double { state.withLockedValue { max(min($0.work, Self.mostOfWork), $0.crowd) } }

    /// Runs `body`, which must only compute, and takes note of how that went. Costs half a microsecond.
    func measuring<T>(_ body: () throws -> T) rethrows -> T {
        let began = (wall: SystemClock.monotonic(), core: SystemClock.threadProcessorTime())
        defer {
            let wall = SystemClock.monotonic() - began.wall
            let core = SystemClock.threadProcessorTime() - began.core
            note(wall: Double(wall), core: Double(core))
        }
        return try body()
    }

    func note(wall: Double, core: Double) {
        // Shorter work says more of the clock than of the machine; longer waits than that say nothing of the next one.
        guard core >= 20_000 else { return }
        let factor = min(max(wall / core, 1), 10)
        state.withLockedValue { $0.work += (factor - $0.work) / 16 }
    }

    /// Looks at the machine: to be called every few milliseconds while something is waited for. Costs microseconds.
    func look() {
        guard let queue, let ready = queue.ready() else { return }
        let crowd = Self.crowd(ready: ready, processors: queue.processors)
        let now = SystemClock.monotonic()
        state.withLockedValue { state in
            state.crowd += (crowd - state.crowd) * min(Double(now - state.lookedAt) / Self.memory, 1)
            state.lookedAt = now
        }
    }

    /// How many tasks there are for each processor, beside those that one pull makes, and a daemon for it.
    static func crowd(ready: Int, processors: Int) -> Double {
        let own = 3 * processors + 4
        return min(max(Double(ready - own) / Double(processors), 1), 32)
    }
}
