import Foundation
import Glibc

/// A process that a test starts, with its output in files; killed when the last reference to it goes away.
///
/// Not Foundation's `Process`: that waits in a run loop, which threads of the cooperative pool do not have.
package final class ChildProcess: Sendable {
    /// How a process ended and what it printed.
    package struct Outcome: Sendable {
        /// The command line, for messages.
        package let name: String
        /// The exit status, or `nil` if a signal ended it.
        package let status: Int32?
        package let signal: Int32?
        package let output: String
        package let error: String

        /// Lines on standard error.
        package var errorLines: [Substring] { error.split(separator: "\n", omittingEmptySubsequences: true) }

        /// Standard output of a process that ended with status 0.
        ///
        /// - Throws: ``Failure``, with all that it printed, for one that did not.
        @discardableResult
        package func succeeded() throws -> String {
            guard status == 0 else { throw Failure(outcome: self) }
            return output
        }
    }

    /// A process that should have ended with status 0 did not.
    package struct Failure: Error, CustomStringConvertible {
        package let outcome: Outcome

        package var description: String {
            let end = outcome.signal.map { "signal \($0)" } ?? "status \(outcome.status ?? -1)"
            return "\(outcome.name): \(end): \(outcome.error)\(outcome.output)"
        }
    }

    /// Seconds after which a run is taken for broken and ended. Far more than anything takes on a busy machine.
    package static let patience = 300.0

    package let outputPath: String
    package let errorPath: String
    private let name: String
    private let end: ProcessEnd
    /// Holds the output files, unless they are elsewhere.
    private let ownDirectory: TemporaryDirectory?

    package var pid: Int32 { end.pid }

    /// Starts a program, with nothing to read and with the tests' own environment without the settings of `layercache`.
    ///
    /// - Parameters:
    ///   - program: a path, or a name that is looked for in `PATH`.
    ///   - environment: variables that are added or replaced.
    ///   - directory: where its output files go; without one they are removed together with this value.
    ///   - workingDirectory: where it runs; the tests' own by default.
    package init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], in directory: String? = nil,
        workingDirectory: String? = nil
    ) throws {
        ownDirectory = try directory == nil ? TemporaryDirectory() : nil
        let stem = "\(directory ?? ownDirectory?.path ?? "")/\(UUID().uuidString)"
        outputPath = "\(stem).out"
        errorPath = "\(stem).err"
        name = ([program] + arguments).joined(separator: " ")
        var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("LAYERCACHE_") }
        variables.merge(environment) { $1 }
        let launch = ProcessLaunch(
            program: program, arguments: arguments, environment: variables, outputPath: outputPath,
            errorPath: errorPath, workingDirectory: workingDirectory)
        end = ProcessEnd(of: try launch.start())
    }

    /// Starts an executable of this package.
    package convenience init(
        built program: String, _ arguments: [String], environment: [String: String] = [:], in directory: String? = nil
    ) throws {
        try self.init(try BuiltProgram.path(program), arguments, environment: environment, in: directory)
    }

    deinit { end.force() }

    package func signal(_ number: Int32) { end.signal(number) }

    /// Ends it with SIGKILL if it runs, and waits for that: it has no chance to clean up.
    package func kill() { end.force() }

    /// Whether it has ended by itself until now.
    package var hasEnded: Bool { end.collect() != nil }

    /// Waits for the end.
    ///
    /// - Throws: ``TookTooLong`` for a process that has not ended after `seconds`; it is killed.
    package func wait(atMost seconds: Double = patience) async throws -> Outcome {
        let limit = Task { [end] in
            try await Task.sleep(for: .seconds(seconds))
            return end.force()
        }
        let status = await end.status()
        limit.cancel()
        if case .success(true) = await limit.result { throw endless(seconds) }
        return try outcome(status)
    }

    /// Waits for the end like ``wait(atMost:)``, and blocks its thread meanwhile: for tests that are not asynchronous.
    package func blockUntilEnd(atMost seconds: Double = patience) throws -> Outcome {
        guard let status = end.blockForStatus(atMost: seconds) else {
            end.force()
            throw endless(seconds)
        }
        return try outcome(status)
    }

    /// Waits until it has printed `count` lines, as a daemon does that serves now, or has ended; what it printed so
    /// far.
    @discardableResult
    package func lines(_ count: Int) async throws -> [Substring] {
        try await eventually("\(count) lines of: \(name)") {
            try hasEnded || countLines() >= count
        }
        return try text(outputPath).split(separator: "\n")
    }

    /// Waits like ``lines(_:)``, and blocks its thread meanwhile: a process that is to be killed at a step does not run
    /// on for as long as the threads of the cooperative pool are busy with other tests.
    package func blockUntilLines(_ count: Int) throws {
        let end = ContinuousClock.now + .seconds(Self.patience)
        while try !hasEnded && countLines() < count {
            guard ContinuousClock.now < end else { throw TookTooLong("there are not \(count) lines of: \(name)") }
            usleep(1000)
        }
    }

    private func countLines() throws -> Int { try text(outputPath).utf8.count { $0 == UInt8(ascii: "\n") } }

    /// Waits for the first whole line that it prints.
    package func firstLine() async throws -> String {
        guard let line = try await lines(1).first else {
            throw TookTooLong("it ended without a line: \(name): \(try text(errorPath))")
        }
        return String(line)
    }

    package func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }

    private func endless(_ seconds: Double) -> TookTooLong {
        TookTooLong("after \(seconds) s there was no end of: \(name)")
    }

    private func outcome(_ status: Int32) throws -> Outcome {
        let signal = status & 0x7F
        return Outcome(
            name: name, status: signal == 0 ? (status >> 8) & 0xFF : nil, signal: signal == 0 ? nil : signal,
            output: try text(outputPath), error: try text(errorPath))
    }
}
