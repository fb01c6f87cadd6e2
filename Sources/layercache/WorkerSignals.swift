import CacheAgent
import CacheCore
import UnixSignals

/// The signals of a worker, which end nothing by themselves: whoever waits for them asks for the end.
///
/// SIGTERM, SIGINT and SIGQUIT: unmount what nothing uses, and end when all is unmounted; a second one detaches what is
/// in use. SIGHUP: hand over to a new process, of a program that was replaced, for example.
enum WorkerSignals {
    static let (heard, hearing) = AsyncStream.makeStream(of: WorkerProcess.End.self)

    /// Runs the verb, and waits on the main thread for signals meanwhile. Only on the main thread, while there is no
    /// other.
    static func run(
        _ verb: sending @escaping () async throws -> Void, end: @escaping @Sendable ((any Error)?) -> Never
    ) -> Never {
        let signals = SignalSet()
        signals.block()
        Task {
            do { try await verb() } catch { end(error) }
            end(nil)
        }
        while true {
            guard let signal = signals.wait() else { continue }
            hearing.yield(signal == UnixSignal.sighup.rawValue ? .handOver : .drain)
        }
    }
}
