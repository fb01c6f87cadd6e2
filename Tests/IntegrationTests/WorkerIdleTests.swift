import Foundation
import TestSupport
import Testing

/// What a worker takes of its host: nothing while nobody reads, and little memory while many do.
@Suite(.enabled(if: WorkerHost.canMount, Comment(rawValue: WorkerHost.needs)), .serialized)
struct WorkerIdleTests {
    /// Longer than the second after which libdispatch would look at its threads, several times.
    private static let quiet = Duration.seconds(4)

    @Test("idle mounts wake neither process up")
    func wakeups() async throws {
        let bench = try await WorkerHost()
        let target = try bench.target("m")
        try await bench.mount(target)
        try await bench.compare(target)
        let processes = try await bench.processes()
        #expect(processes.count == 2)
        // What the reads have left to do, such as filling L1, comes to its end first.
        try await eventually("\(Self.quiet) without a wakeup") {
            let before = try processes.map(switches)
            try await Task.sleep(for: Self.quiet)
            return try before == processes.map(switches)
        }
        try await bench.end()
    }

    /// How often each thread of a process has gone to sleep.
    private func switches(of process: Int32) throws -> [String: String] {
        let tasks = "/proc/\(process)/task"
        return try FileManager.default.contentsOfDirectory(atPath: tasks).reduce(into: [:]) { result, thread in
            let status = try String(contentsOfFile: "\(tasks)/\(thread)/status", encoding: .utf8)
            result[thread] = try #require(status.split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt") })
                .description
        }
    }

    /// Of decoded chunks, 64 MiB, and 100 MiB for all else.
    private static let bound = 164 << 10

    @Test("eight images that are read at once, through two mounts each, leave a worker within its memory")
    func memory() async throws {
        let bench = try await WorkerHost()
        var targets: [String] = []
        for number in 0..<8 {
            try await bench.bench.python(
                "os.mkdir('i\(number)'); write('i\(number)/noise', noise(\(number), 48 << 20))")
            try await bench.bench.push("dir:\(bench.bench("i\(number)"))", "acme/i\(number)")
        }
        for number in 0..<16 {
            let target = try bench.target("m\(number)")
            try await bench.mount(target, ["--prefetch", "none"], of: "acme/i\(number % 8)")
            targets.append(target)
        }
        let readers = try targets.map { target in
            try ChildProcess("sh", ["-c", "cat '\(target)/noise' > /dev/null"], in: bench.bench(".out"))
        }
        for reader in readers { #expect(try await reader.wait().status == 0) }
        for number in 0..<8 {
            #expect(try await bench.bench.same("\(targets[number])/noise", bench.bench("i\(number)/noise")))
        }
        let status = try String(contentsOfFile: "/proc/\(try await bench.status().pid)/status", encoding: .utf8)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") })
        let peak = try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
        #expect(peak > 32 << 10 && peak < Self.bound, "\(peak) KiB")
        try await bench.end()
    }
}
