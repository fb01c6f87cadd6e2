import CacheCore

/// The end of a verb by a signal: what is thrown instead of the error that its cancellation brought about.
struct Interruption: Error {
    /// By the convention of shells.
    let status: Int32
}

extension LayerCacheCommand {
    /// Runs `verb`, which ends the process by `end`, and cancels it when a signal asks the process to end, so that it
    /// cleans up after itself.
    ///
    /// Only on the main thread, while there is no other: what is started from here on leaves the signals to this one.
    static func runUntilInterrupted(
        _ verb: sending @escaping () async throws -> Void, end: @escaping @Sendable ((any Error)?) -> Never
    ) -> Never {
        let signals = SignalSet()
        signals.block()
        let work = Task {
            do {
                try await verb()
            } catch {
                end(SignalWatch.received.map { Interruption(status: 128 + $0) } ?? error)
            }
            end(nil)
        }
        SignalWatch.run(signals) { work.cancel() }
    }

    /// Runs a verb that listens to signals itself.
    static func run(
        _ verb: sending @escaping () async throws -> Void, end: @escaping @Sendable ((any Error)?) -> Never
    ) -> Never {
        Task {
            do { try await verb() } catch { end(error) }
            end(nil)
        }
        CurrentProcess.parkThread()
    }
}
