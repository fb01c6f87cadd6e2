internal import CacheCore
internal import CacheFiles
internal import Logging
internal import NIOConcurrencyHelpers
internal import NIOPosix

/// The serving process's line to its supervisor: hears what that asks for, and has a new one started when it is dead.
final class SupervisedLine: Sendable {
    private let processes: WorkerProcesses
    private let logger: Logger
    private let line: NIOLockedValueBox<Lifeline>
    private let isEnding = NIOLockedValueBox(false)
    private let thread = NIOThreadPool(numberOfThreads: 1)

    init(_ line: Lifeline, _ processes: WorkerProcesses, logger: Logger) {
        self.line = NIOLockedValueBox(line)
        self.processes = processes
        self.logger = logger
    }

    /// Listens on a thread of its own, until the process ends.
    func listen(_ heed: @escaping @Sendable (WorkerProcess.End) -> Void) {
        thread.start()
        thread.submit { [self] _ in
            var pause = Self.shortestPause
            while true {
                let current = line.withLockedValue { $0 }
                while let byte = current.receive() {
                    switch WorkerProcesses.Message(rawValue: byte) {
                    case .drain: heed(.drain)
                    case .handOver: heed(.handOver)
                    default: logger.warning("the supervisor said something unknown")
                    }
                }
                guard !isEnding.withLockedValue({ $0 }) else { return }
                logger.warning("the supervisor has died: a new one starts")
                replace()
                // One that dies at once does not take a processor.
                BlockingWait.sleep(microseconds: pause)
                pause = min(pause * 2, Self.longestPause)
            }
        }
    }

    private static let shortestPause: UInt32 = 1000
    private static let longestPause: UInt32 = 1_000_000

    private func replace() {
        do throws(CacheError) {
            let next = try processes.start(.supervising)
            line.withLockedValue { $0 = next }
        } catch {
            logger.error(
                "there is no supervisor: nobody takes over when this process is killed",
                metadata: [
                    "error": "\(error)"
                ])
        }
    }

    /// It answers.
    func tellServing() { line.withLockedValue { $0 }.send(.serving) }

    /// It cannot start, and says why on standard error.
    func tellFailed() { tell(.failed) }

    /// Nothing is mounted any more.
    func tellEnded() { tell(.ended) }

    /// The death of the supervisor is nothing to heed from now on.
    func tellNothing() { isEnding.withLockedValue { $0 = true } }

    private func tell(_ message: WorkerProcesses.Message) {
        isEnding.withLockedValue { $0 = true }
        line.withLockedValue { $0 }.send(message)
    }
}
