import Foundation
import Glibc
import Synchronization

/// A process that a test starts, with its output in files. Not Foundation's `Process`: that waits in a run loop, which threads of the
/// cooperative pool do not have.
final class ChildProcess: Sendable {
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

    /// What ends a run that is broken; what takes its time on a busy machine comes to its end long before.
    static let patience = 300.0

    let outputPath: String
    let errorPath: String
    private let name: String
    private let ending: Ending

    var pid: pid_t { ending.pid }

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
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        let number = posix_spawnp(&child, program, &actions, &attributes, &argumentPointers, &environmentPointers)
        guard number == 0 else { throw TookTooLong(description: "\(program): \(String(cString: strerror(number)))") }
        ending = Ending(of: child)
    }

    deinit { ending.force() }

    func signal(_ number: Int32) { ending.signal(number) }

    /// Ends it with SIGKILL if it runs, and waits for that.
    func kill() { ending.force() }

    /// Whether it has ended by itself until now.
    var hasEnded: Bool { ending.collect() != nil }

    /// Waits for the end; one that takes longer than `seconds` is killed, and that is an error: whatever comes in, time is bounded.
    func wait(atMost seconds: Double = patience) async throws -> Outcome {
        let limit = Task { [ending] in
            try await Task.sleep(for: .seconds(seconds))
            return ending.force()
        }
        let status = await ending.status()
        limit.cancel()
        if case .success(true) = await limit.result {
            throw TookTooLong(description: "after \(seconds) s there was no end of: \(name)")
        }
        let signal = status & 0x7F
        return Outcome(
            status: signal == 0 ? (status >> 8) & 0xFF : nil, signal: signal == 0 ? nil : signal,
            output: try text(outputPath), error: try text(errorPath))
    }

    /// Waits for the first whole line that it prints, as a daemon's that serves now.
    func firstLine() async throws -> String {
        try await eventually("a line of: \(name)") {
            try hasEnded || text(outputPath).contains("\n")
        }
        guard let line = try text(outputPath).split(separator: "\n").first else {
            throw TookTooLong(description: "it ended without a line: \(name): \(try text(errorPath))")
        }
        return String(line)
    }

    func text(_ path: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(fileURLWithPath: path)), as: UTF8.self)
    }
}

/// The end of a child: a thread waits for it, so that nobody has to look again and again.
private final class Ending: Sendable {
    private struct State {
        var status: Int32?
        var waiting: [CheckedContinuation<Int32, Never>] = []
    }

    let pid: pid_t
    private let state = Mutex(State())

    init(of pid: pid_t) {
        self.pid = pid
        Thread.detachNewThread { [self] in
            Self.waitForEnd(pid)
            collect()
        }
    }

    /// Its wait status once it has ended. Reaped under the lock, so that no signal goes to a stranger with the same number.
    @discardableResult
    func collect() -> Int32? {
        let (status, waiting) = state.withLock { state -> (Int32?, [CheckedContinuation<Int32, Never>]) in
            if state.status == nil {
                var status: Int32 = 0
                if waitpid(pid, &status, WNOHANG) == pid { state.status = status }
            }
            guard state.status != nil else { return (nil, []) }
            defer { state.waiting = [] }
            return (state.status, state.waiting)
        }
        if let status { for one in waiting { one.resume(returning: status) } }
        return status
    }

    func status() async -> Int32 {
        await withCheckedContinuation { continuation in
            let status = state.withLock { state in
                if state.status == nil { state.waiting.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }

    func signal(_ number: Int32) {
        state.withLock { if $0.status == nil { Glibc.kill(pid, number) } }
    }

    /// Ends it with SIGKILL and waits for that; whether there was anything to end.
    @discardableResult
    func force() -> Bool {
        guard collect() == nil else { return false }
        signal(SIGKILL)
        Self.waitForEnd(pid)
        collect()
        return true
    }

    /// Blocks until it has ended, and leaves its status where it is.
    private static func waitForEnd(_ pid: pid_t) {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
    }
}
