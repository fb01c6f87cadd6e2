import Foundation
import Synchronization

/// A process that the harness started, and what it used.
struct Child {
    struct Usage {
        let status: Int32
        let seconds: Double
        let cpuSeconds: Double
        let residentBytes: Double
    }

    let pid: pid_t
    private let log: String
    private let name: String
    private let start = ContinuousClock.now

    /// Processes that must not outlive the harness.
    private static let living = Mutex<Set<pid_t>>([])

    /// Starts `command` with its standard output and error in the file `log`; its standard output in the descriptor
    /// `output` if there is one.
    init(_ command: [String], environment: [String: String], log: String, output: Int32? = nil) throws {
        self.log = log
        name = (command[0] as NSString).lastPathComponent
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        if let output { posix_spawn_file_actions_adddup2(&actions, output, 1) }
        // The harness ignores what asks it to end until its handler ran; a child must not inherit that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for number in [SIGINT, SIGTERM] { sigaddset(&defaults, number) }
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
        let arguments = command.map { strdup($0) } + [nil]
        let variables = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var pid = pid_t()
        let failure = posix_spawn(&pid, command[0], &actions, &attributes, arguments, variables)
        guard failure == 0 else {
            throw BenchError("cannot start \(command[0]): \(String(cString: strerror(failure)))")
        }
        self.pid = pid
        _ = Self.living.withLock { $0.insert(pid) }
    }

    /// Waits for its end, whatever the status.
    ///
    /// The memory is the kernel's own high-water mark, looked at every 20 ms: what wait4 says of it begins with the
    /// memory of the harness.
    func end() -> Usage {
        var resident = 0.0
        var looks = 0
        while !hasEnded {
            if looks % 10 == 0 { resident = max(resident, residentPeak) }
            looks += 1
            usleep(2_000)
        }
        let wall = (ContinuousClock.now - start) / .seconds(1)
        var status = Int32()
        var usage = rusage()
        while wait4(pid, &status, 0, &usage) < 0 && errno == EINTR {}
        _ = Self.living.withLock { $0.remove(pid) }
        return Usage(
            status: status, seconds: wall, cpuSeconds: Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime),
            residentBytes: resident)
    }

    /// `VmHWM` of /proc/PID/status, in bytes; 0 once the process has no memory any more.
    private var residentPeak: Double {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
        return (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Double($0) } ?? 0) * 1024
    }

    /// That it has used so far; 0 once it has ended.
    var processorSeconds: Double {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
        // After the name in brackets, which may hold anything: utime and stime are fields 14 and 15 of all.
        let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Double(fields[12]), let system = Double(fields[13]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    /// Waits for its end, which must be status 0.
    func success() throws -> Usage {
        let usage = end()
        guard usage.status == 0 else { throw BenchError("\(name) failed: \(lastLine)") }
        return usage
    }

    /// Asks it to end, again after five seconds (a worker then detaches what is in use), and insists after ten.
    func terminate() -> Usage {
        for _ in 0..<2 where !hasEnded {
            kill(pid, SIGTERM)
            for _ in 0..<100 where !hasEnded { usleep(50_000) }
        }
        if !hasEnded { kill(pid, SIGKILL) }
        return end()
    }

    var hasEnded: Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(pid), &information, WEXITED | WNOHANG | WNOWAIT) == 0
            && information.si_signo == SIGCHLD
    }

    var output: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }
    var lastLine: String { output.split(separator: "\n").last.map(String.init) ?? "it said nothing" }

    /// Ends all at once. A worker whose one process is killed is brought back by its other: it is asked first.
    static func endAll() {
        for number in [SIGTERM, SIGTERM] {
            for pid in living.withLock({ $0 }) { kill(pid, number) }
            for _ in 0..<20 where living.withLock({ $0 }).contains(where: { kill($0, 0) == 0 }) { usleep(50_000) }
        }
        for pid in living.withLock({ $0 }) { kill(pid, SIGKILL) }
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
}

/// The path of an installed program; `nil` if there is none. Daemons live where a user's PATH need not lead.
func installed(_ name: String) -> String? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    return (path.split(separator: ":") + ["/usr/sbin", "/usr/bin"]).lazy.map { "\($0)/\(name)" }
        .first { access($0, X_OK) == 0 }
}
