import Foundation
import Glibc
import TestSupport
import Testing

/// A storm of real pulls on an empty L2, and a holder of leases that is killed.
@Suite struct LeaseTests {
    private struct Leases: Decodable { let open, waiting, expired, givenUp: Int }
    private struct Statistics: Decodable { let leases: Leases }

    private func leases(_ bench: Workbench, _ daemon: Daemon) async throws -> Leases {
        let text = try await bench.succeed(["stats", "--l2", daemon.url, "--json"])
        return try JSONDecoder().decode(Statistics.self, from: Data(text.utf8)).leases
    }

    /// Starts a pull and stops it while it holds leases.
    private func stoppedHolder(_ bench: Workbench, _ daemon: Daemon) async throws -> ChildProcess {
        for attempt in 0..<50 {
            try await bench.python("write('in\(attempt)', noise(\(attempt), 24000000))")
            try await bench.push("file:\(bench("in\(attempt)"))", "acme/f:1")
            let pull = try bench.start(
                bench.pullArguments("acme/f:1", "file:\(bench("dead"))") + ["--l2", daemon.url])
            try await eventually("a lease") {
                if pull.hasEnded { return true }
                return try await leases(bench, daemon).open > 0
            }
            try await pull.stop()
            // What it had sent has come by the next answer, and no more comes.
            _ = try await leases(bench, daemon)
            if !pull.hasEnded, try await leases(bench, daemon).open > 0 {
                try await bench.shell("mv in\(attempt) in")
                return pull
            }
            pull.kill()
        }
        throw TookTooLong("no pull was stopped while it held a lease")
    }

    @Test func aHolderIsKilledAndTheOthersFinish() async throws {
        let bench = try await Workbench()
        let daemon = try await Daemon(store: bench("l2"), memory: "64MiB", in: bench(".out"))
        let holder = try await stoppedHolder(bench, daemon)
        // They would wait ten minutes for a fill, and L3's deadline is as long.
        let pulls = try (0..<6).map { number in
            try bench.start(
                bench.pullArguments("acme/f:1", "file:\(bench("out\(number)"))") + ["--l2", daemon.url])
        }
        holder.kill()
        for (number, pull) in pulls.enumerated() {
            try await pull.wait(atMost: 120).succeeded()
            #expect(try await bench.same(bench("in"), bench("out\(number)")))
        }
        let after = try await leases(bench, daemon)
        #expect(after.expired + after.givenUp >= 1)
        #expect(after.open == 0 && after.waiting == 0)
    }

    @Test func realPullsReadEachChunkOnce() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 12000000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        let daemon = try await Daemon(store: bench("l2"), memory: "64MiB", in: bench(".out"))
        let pulls = try (0..<8).map { number in
            try bench.start(
                bench.pullArguments("acme/f:1", "file:\(bench("out\(number)"))") + ["--l2", daemon.url])
        }
        var fromL3 = 0
        for (number, pull) in pulls.enumerated() {
            let text = try await pull.wait().succeeded()
            let answer = try JSONDecoder().decode(PullAnswer.self, from: Data(text.utf8))
            fromL3 += answer.tiers.l3.chunks
            #expect(try await bench.same(bench("in"), bench("out\(number)")))
        }
        #expect(fromL3 == bench.files(below: bench.l3).count { $0.contains("/chunks/") })
    }
}
