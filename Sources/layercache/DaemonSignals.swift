import CacheCore
import Logging
import ServiceLifecycle
import Synchronization
import UnixSignals

/// What signals do to the daemon, which has requests to finish where a verb only has to clean up.
///
/// The first SIGTERM lets requests finish, SIGINT and SIGQUIT end them; after either, the next of them ends the process
/// at once, with 128 and the signal's number. Before requests are served there is nothing to finish, so that any ends
/// it. SIGHUP changes nothing: there is neither a file of the log to open again nor a configuration that could change
/// under way.
final class DaemonSignals: Sendable {
    /// The first signal that told the daemon to end; 0 before.
    private let first = Atomic<Int32>(0)
    private let isServing = Atomic(false)

    func served() { isServing.store(true, ordering: .releasing) }

    func run(_ group: ServiceGroup, logger: Logger) async throws {
        let signals = await UnixSignalsSequence(
            trapping: [.sigterm, .sigint, .sigquit, .sighup].filter { !SignalSet.isIgnored($0.rawValue) })
        let work = Task { try await group.run() }
        let listener = Task {
            for await signal in signals { await heed(signal, group, work, logger) }
        }
        defer { listener.cancel() }
        try await work.value
    }

    private func heed(
        _ signal: UnixSignal, _ group: ServiceGroup, _ work: Task<Void, any Error>, _ logger: Logger
    ) async {
        if signal == .sighup { return logger.info("SIGHUP changes nothing: SIGTERM ends the daemon") }
        let isFirst = first.compareExchange(expected: 0, desired: signal.rawValue, ordering: .relaxed).exchanged
        guard isFirst, isServing.load(ordering: .acquiring) else { CurrentProcess.exitAtOnce(128 + signal.rawValue) }
        if signal == .sigterm { await group.triggerGracefulShutdown() } else { work.cancel() }
    }
}
