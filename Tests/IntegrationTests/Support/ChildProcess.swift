import Foundation
import Glibc

/// A process that a test starts, with its output in files. Not Foundation's `Process`: that waits in a run loop, which threads of the
/// cooperative pool do not have.
final class ChildProcess: @unchecked Sendable {
    // Unchecked: each instance stays in the one test that started it; only `pid` and the paths, which never change, leave it.

    /// How a process ended and what it printed.
    struct Outcome {
        /// The exit status, or `nil` if a signal ended it.
        let status: Int32?
        let signal: Int32?
        let output: String
        let error: String

        /// Lines on standard error.
        var errorLines: [Substring] { error.split(separator: "\n", omittingEmptySubsequences: true) }
    }

    struct TookTooLong: Error, CustomStringConvertible {
        let description: String
    }

    let pid: pid_t
    let outputPath: String
    let errorPath: String
    private let name: String
    private var ended: Int32?

    /// - Parameter directory: where its output files go.
    init(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], in directory: String
    ) throws {
        let stem = "\(directory)/\(UUID().uuidString)"
        outputPath = "\(stem).out"
        errorPath = "\(stem).err"
        name = ([program] + arguments).joined(separator: " ")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var variables = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("LAYERCACHE_") }
        variables.merge(environment) { $1 }
        var argumentPointers = ([program] + arguments).map { strdup($0) } + [nil]
        var environmentPointers = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argumentPointers + environmentPointers).forEach { free($0) } }
        var child: pid_t = 0
        // Signals as at a terminal, even if these tests run in a shell's background, where some are ignored.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        let number = posix_spawnp(&child, program, &actions, &attributes, &argumentPointers, &environmentPointers)
        guard number == 0 else { throw TookTooLong(description: "\(program): \(String(cString: strerror(number)))") }
        pid = child
    }

    deinit { kill() }

    func signal(_ number: Int32) {
        if ended == nil { Glibc.kill(pid, number) }
    }

    /// Ends it with SIGKILL if it runs, and waits for that.
    func kill() {
        guard ended == nil else { return }
        Glibc.kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) == -1, errno == EINTR {}
        ended = status
    }

    /// Whether it has ended by itself until now.
    var hasEnded: Bool {
        if ended != nil { return true }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return false }
        ended = status
        return true
    }

    /// Waits for the end; one that takes longer than `seconds` is killed, and that is an error: whatever comes in, time is bounded.
    func wait(atMost seconds: Double = 120) async throws -> Outcome {
        let end = ContinuousClock.now + .seconds(seconds)
        while !hasEnded {
            guard ContinuousClock.now < end else {
                kill()
                throw TookTooLong(description: "after \(seconds) s there was no end of: \(name)")
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        let status = ended ?? 0
        let signal = status & 0x7F
        return Outcome(
            status: signal == 0 ? (status >> 8) & 0xFF : nil, signal: signal == 0 ? nil : signal,
            output: try text(outputPath), error: try text(errorPath))
    }

    func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }
}
