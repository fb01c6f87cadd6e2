import Foundation
import Testing

/// Resident memory of real processes, at images larger than what they may use.
@Suite struct MemoryTests {
    private static let bound = 300 << 20

    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.shell("head -c 450000000 /dev/urandom > noise && tar -cf in.tar noise && rm noise")
        try await bench.push("tar:\(bench("in.tar"))", "acme/noise:1")
        return bench
    }

    /// What has been read and is not taken yet is bounded, however slow the one is who takes it.
    @Test func aPullThatIsTakenSlowly() async throws {
        let bench = try await bench()
        try await bench.shell("mkfifo out")
        let taker = try ChildProcess(
            "/bin/sh", ["-c", "gzip -1 < '\(bench("out"))' | wc -c"], in: bench(".out"))
        let pull = try bench.start(bench.pullArguments("acme/noise:1", "tar:\(bench("out"))"))
        #expect(try await peak(of: pull) < Self.bound)
        #expect(try await pull.wait().status == 0)
        #expect(try await taker.wait().status == 0)
    }

    /// Pages of L1's files do not stay in the process: not of chunks that were read, and not of those that made room for others.
    @Test(arguments: ["1GiB", "400MiB"]) func pullsThroughL1(_ capacity: String) async throws {
        let bench = try await bench()
        for round in 0..<2 {
            let pull = try bench.start(
                bench.pullArguments("acme/noise:1", "tar:\(bench("out.tar"))") + [
                    "--l1", bench.l1, "--l1-capacity", capacity,
                ])
            #expect(try await peak(of: pull) < Self.bound, "round \(round)")
            #expect(try await pull.wait().status == 0)
            #expect(try await bench.same(bench("in.tar"), bench("out.tar")))
        }
    }

    /// The most memory that was resident until the process ended, in bytes.
    private func peak(of process: ChildProcess) async throws -> Int {
        var peak = 0
        while !process.hasEnded {
            // Gone between the two questions: what was seen before counts.
            let status = (try? process.text("/proc/\(process.pid)/status")) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            let words = line?.split(whereSeparator: \.isWhitespace) ?? []
            if words.count == 3, let kibibytes = Int(words[1]) { peak = max(peak, kibibytes << 10) }
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(peak > 0)
        return peak
    }
}
