import Foundation
import Glibc
import TestSupport
import Testing

/// Whatever a verb waits for, the first signal ends it.
@Suite struct WaitTests {
    /// Starts a verb with its output in a named pipe that `holder` keeps open and never reads.
    private func start(_ bench: Workbench, _ arguments: [String], output: String) throws -> ChildProcess {
        try ChildProcess(
            "/bin/sh", ["-c", "exec \"$0\" \"$@\" > '\(output)'", Workbench.binary] + arguments, in: bench(".out"))
    }

    /// Whether the process leaves signals to its main thread by now: one that comes sooner ends it as if it had never
    /// been started. While that thread waits for them, only the others show that they are blocked.
    private func listens(_ process: ChildProcess) -> Bool {
        let directory = "/proc/\(process.pid)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return threads.contains { thread in
            guard let status = try? String(contentsOfFile: "\(directory)/\(thread)/status", encoding: .utf8),
                let line = status.split(separator: "\n").first(where: { $0.hasPrefix("SigBlk:") }),
                let mask = UInt64(line.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16)
            else { return false }
            return mask & 1 << UInt64(SIGTERM - 1) != 0
        }
    }

    private func hasOpen(_ process: ChildProcess, _ path: String) -> Bool {
        let directory = "/proc/\(process.pid)/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.contains {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\($0)")) == path
        }
    }

    /// Sends a signal once `isWaiting`, and expects the end that the contract names.
    private func interrupt(
        _ process: ChildProcess, _ number: Int32, _ what: String, isWaiting: () throws -> Bool = { true }
    ) async throws {
        try await eventually("waiting: \(what)") { try process.hasEnded || listens(process) && isWaiting() }
        #expect(!process.hasEnded, "\(what)")
        process.signal(number)
        let outcome = try await process.wait()
        #expect(outcome.status == 128 + number, "\(what): \(outcome.error)")
        #expect(outcome.signal == nil, "\(what): \(outcome.error)")
        #expect(outcome.error == "layercache: interrupted\n", "\(what)")
    }

    private func bench(bytes: Int = 300_000) async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.shell("head -c \(bytes) /dev/urandom > f; mkfifo fifo")
        try await bench.push("file:\(bench("f"))", "acme/a:1")
        return bench
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT]) func pipesWithoutAnotherEnd(_ number: Int32) async throws {
        let bench = try await bench()
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        for arguments in [
            ["pull", "acme/a:1", "file:\(bench("fifo"))"], ["push", "file:\(bench("fifo"))", "acme/b:1"],
            ["push", "tar:\(bench("fifo"))", "acme/b:1"],
        ] {
            try await interrupt(try bench.start(arguments + common), number, "\(arguments)")
        }
        #expect(bench.files(below: bench("l3/refs")).count == 1)
    }

    /// A writer that has come and writes nothing more.
    @Test func aPipeThatIsOpenAndSilent() async throws {
        let bench = try await bench()
        let end = open(bench("fifo"), O_RDWR | O_CLOEXEC)
        defer { close(end) }
        #expect(write(end, "some", 4) == 4)
        let process = try bench.start(
            ["push", "file:\(bench("fifo"))", "acme/b:1", "--l3", bench.l3, "--keyring", bench.keyring])
        try await interrupt(process, SIGTERM, "silent source") { unread(end) == 0 }
        let reader = open(bench("fifo"), O_RDWR | O_CLOEXEC)
        defer { close(reader) }
        let pull = try bench.start(bench.pullArguments("acme/a:1", "file:\(bench("fifo"))"))
        try await interrupt(pull, SIGINT, "full destination") { unread(reader) == pipeBytes(reader) }
    }

    private func unread(_ end: Int32) -> Int {
        var count: Int32 = 0
        return ioctl(end, UInt(FIONREAD), &count) == 0 ? Int(count) : -1
    }

    private func pipeBytes(_ end: Int32) -> Int { Int(fcntl(end, 1032)) }  // F_GETPIPE_SZ

    @Test func anOutputThatNobodyReads() async throws {
        let bench = try await bench()
        let end = open(bench("fifo"), O_RDWR | O_CLOEXEC | O_NONBLOCK)
        defer { close(end) }
        // Full, but for what a verb says.
        let filler = [UInt8](repeating: 0x2E, count: pipeBytes(end))
        #expect(write(end, filler, filler.count) == filler.count)
        let common = ["--l3", bench.l3, "--keyring", bench.keyring]
        for arguments in [
            ["ls", "--l3", bench.l3], ["inspect", "acme/a:1"] + common,
            ["pull", "acme/a:1", "file:\(bench("o"))"] + common,
            ["push", "file:\(bench("f"))", "acme/c:1", "--json"] + common,
            ["pull", "acme/a:1", "file:/dev/stdout"] + common,
        ] {
            try await interrupt(try start(bench, arguments, output: bench("fifo")), SIGTERM, "\(arguments)")
        }
    }

    @Test(arguments: ["l3/.lock", "keys.json"]) func locksOfOthers(_ file: String) async throws {
        let bench = try await bench()
        let holder = open(bench(file), O_RDONLY | O_CLOEXEC)
        defer { close(holder) }
        #expect(flock(holder, LOCK_EX) == 0)
        let arguments =
            file == "keys.json"
            ? ["keygen", "beta", "--keyring", bench.keyring]
            : ["push", "file:\(bench(".out"))/../keys.json", "acme/a:1", "--l3", bench.l3, "--keyring", bench.keyring]
        let before = try bench.bytes(bench("keys.json"))
        for number in [SIGINT, SIGTERM, SIGHUP] {
            let process = try bench.start(arguments)
            try await interrupt(process, number, file) { hasOpen(process, bench(file)) }
        }
        #expect(try bench.bytes(bench("keys.json")) == before)
        #expect(bench.files(below: bench.path).allSatisfy { !$0.hasSuffix(".tmp") })
        // And who waits long enough gets it.
        let process = try bench.start(arguments)
        try await eventually("waiting for \(file)") { process.hasEnded || hasOpen(process, bench(file)) }
        #expect(flock(holder, LOCK_UN) == 0)
        #expect(try await process.wait().status == 0)
    }

    /// What is ignored at the start stays ignored.
    @Test func nohup() async throws {
        let bench = try await bench()
        let process = try ChildProcess(
            "/bin/sh",
            ["-c", "trap '' HUP; exec \"$0\" \"$@\"", Workbench.binary]
                + bench.pullArguments("acme/a:1", "file:\(bench("fifo"))"), in: bench(".out"))
        try await eventually("waiting") { process.hasEnded || listens(process) }
        process.signal(SIGHUP)
        let reader = try ChildProcess("/bin/cat", [bench("fifo")], in: bench(".out"))
        #expect(try await process.wait().status == 0)
        #expect(try await reader.wait().status == 0)
        #expect(try bench.bytes(reader.outputPath) == bench.bytes(bench("f")))
    }
}
