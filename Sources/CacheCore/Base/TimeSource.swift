/// Where time comes from: a clock of the system, or one that a test moves by hand.
package struct TimeSource: Sendable {
    /// How long it is since a moment that never changes; never goes back.
    package let now: @Sendable () -> Duration
    /// Returns after a while, or throws if the task is cancelled.
    package let sleep: @Sendable (Duration) async throws -> Void

    package init<C: Clock<Duration>>(_ clock: C) {
        let origin = clock.now
        now = { origin.duration(to: clock.now) }
        sleep = { try await clock.sleep(for: $0) }
    }

    /// The system's, which stands still while the machine sleeps.
    package static let system = TimeSource(SuspendingClock())
}
