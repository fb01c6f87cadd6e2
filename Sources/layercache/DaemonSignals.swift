import CacheCore
import ServiceLifecycle
import Synchronization
import UnixSignals

/// What signals do to the daemon, which has requests to finish where a verb only has to clean up.
///
/// The first SIGTERM lets requests finish, SIGINT and SIGQUIT end them; after either, the next of them ends the process
/// at once, with 128 and the signal's number. Before requests are served there is nothing to finish, so that any ends
/// it. SIGHUP has the configuration read again.
final class DaemonSignals: Sendable {
    /// The first signal that told the daemon to end; 0 before.
    private let first = Atomic<Int32>(0)
    private let isServing = Atomic(false)

    func served() { isServing.store(true, ordering: .releasing) }

    /// - Parameter reload: reads the configuration again; called after each SIGHUP, once for those that came meanwhile.
    func run(_ group: ServiceGroup, reload: @escaping @Sendable () -> Void) async throws {
        let signals = await UnixSignalsSequence(
            trapping: [.sigterm, .sigint, .sigquit, .sighup].filter { !SignalSet.isIgnored($0.rawValue) })
        let work = Task { try await group.run() }
        // Beside the others: a file that cannot be read for a while must not keep the daemon from ending.
        let (hangups, hangup) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let reloader = Task { for await _ in hangups { reload() } }
        let listener = Task {
            for await signal in signals {
                if signal == .sighup { hangup.yield() } else { await heed(signal, group, work) }
            }
        }
        defer {
            listener.cancel()
            reloader.cancel()
        }
        try await work.value
    }

    private func heed(_ signal: UnixSignal, _ group: ServiceGroup, _ work: Task<Void, any Error>) async {
        let isFirst = first.compareExchange(expected: 0, desired: signal.rawValue, ordering: .relaxed).exchanged
        guard isFirst, isServing.load(ordering: .acquiring) else { CurrentProcess.exitAtOnce(128 + signal.rawValue) }
        if signal == .sigterm { await group.triggerGracefulShutdown() } else { work.cancel() }
    }
}
