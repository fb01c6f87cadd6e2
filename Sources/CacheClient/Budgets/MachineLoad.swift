internal import CacheCore
internal import NIOConcurrencyHelpers

/// How much slower than on an idle machine everything is at the moment, told by work that needs nothing but a core:
/// what it takes, divided by the time that it had one. What is slow because the machine is busy is not the fault of a
/// tier.
final class MachineLoad: Sendable {
    private let state = NIOLockedValueBox(1.0)

    /// At least 1.
    var factor: Double { state.withLockedValue { $0 } }

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
        state.withLockedValue { $0 += (factor - $0) / 16 }
    }
}
