internal import CacheCore
package import CacheFiles
package import Logging
internal import NIOConcurrencyHelpers

/// The small process beside the serving one: holds its descriptors, and starts it again when it has died.
package final class Supervisor: Sendable {
    /// How it came to its end.
    package enum Outcome: Sendable, Equatable {
        /// Nothing is mounted any more.
        case ended
        /// The first process could not start; it has said why.
        case failed
    }

    private struct State {
        var line: Lifeline?
        /// What the process is to be told, the next one as well if this one dies meanwhile.
        var end: WorkerProcesses.Message?
    }

    private let processes: WorkerProcesses
    private let pauseThread: @Sendable (Duration) -> Void
    private let logger: Logger
    private let state = NIOLockedValueBox(State())

    /// - Parameter pause: puts the thread to sleep.
    package init(
        _ processes: WorkerProcesses, logger: Logger,
        pause: @escaping @Sendable (Duration) -> Void = { duration in
            if duration > .zero { BlockingWait.sleep(microseconds: UInt32(clamping: Int(duration / .microseconds(1)))) }
        }
    ) {
        self.processes = processes
        pauseThread = pause
        self.logger = logger
    }

    /// Asks the serving process to unmount what nothing uses, and to end when all is unmounted. Asked a second time, it
    /// detaches what is in use.
    package func drain() {
        state.withLockedValue { state in
            state.end = .drain
            state.line?.send(.drain)
        }
    }

    /// Asks the serving process to leave all to a new one: of a program that was replaced, for example.
    package func handOver() {
        state.withLockedValue { $0.line }?.send(.handOver)
    }

    /// Runs until the worker has come to its end. Blocks.
    ///
    /// - Parameters:
    ///   - line: to a serving process that has lost its supervisor; `nil` to start one.
    ///   - onServing: called once, when the first one serves.
    package func run(adopting line: Lifeline? = nil, onServing: () -> Void = {}) throws -> Outcome {
        var pace = RestartPace()
        var hasEverServed = line != nil
        var adopted = line
        while true {
            let line: Lifeline
            let isAdopted = adopted != nil
            if let given = adopted.take() { line = given } else { line = try processes.start(.serving) }
            state.withLockedValue { state in
                state.line = line
                if let end = state.end { line.send(end) }
            }
            var servingSince = isAdopted ? ContinuousClock.now : nil
            var last: WorkerProcesses.Message?
            while let byte = line.receive() {
                last = WorkerProcesses.Message(rawValue: byte)
                guard last == .serving else { continue }
                servingSince = .now
                if !hasEverServed { onServing() }
                hasEverServed = true
            }
            state.withLockedValue { $0.line = nil }
            if last == .ended { return .ended }
            if last == .failed, !hasEverServed { return .failed }
            let served = servingSince.map { ContinuousClock.now - $0 }
            guard let pause = pace.next(served: served, hasEverServed: hasEverServed) else {
                throw CacheError(.io, "the worker's process dies before it serves, again and again: see its log")
            }
            logger.warning("the serving process has ended: the next one starts", metadata: ["pause": "\(pause)"])
            pauseThread(pause)
        }
    }
}

extension Lifeline {
    func send(_ message: WorkerProcesses.Message) { send(message.rawValue) }
}
