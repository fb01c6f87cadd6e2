import Foundation
import Glibc
import TestSupport
import Testing

/// Which tier delivers, and what happens when L2 is not what it should be.
@Suite struct TierTests {
    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 3000000) + text(2, 1000000) + bytes(1048576) + noise(3, 77))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        return bench
    }

    @Test func everyTierFillsThoseAboveIt() async throws {
        let bench = try await bench()
        let daemon = try await Daemon(bench)
        let cold = try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l1", bench.l1, "--l2", daemon.url])
        let stored = cold.tiers.l3.chunks
        #expect(stored > 0)
        #expect(cold.tiers.l2.chunks == 0)
        #expect(cold.tiers.l1.chunks == 0)
        #expect(cold.tiers.l3.chunks + cold.tiers.memory.chunks + cold.chunks.zero == cold.chunks.total)
        let second = try await bench.pull(
            "acme/f:1", "file:\(bench("2"))", ["--l1", bench("l1-second"), "--l2", daemon.url])
        #expect(second.tiers.l2.chunks == stored)
        #expect(second.tiers.l3.chunks == 0)
        #expect(second.tiers.l1.chunks == 0)
        #expect(second.tiers.l2.bytes == cold.tiers.l3.bytes)
        let warm = try await bench.pull("acme/f:1", "file:\(bench("3"))", ["--l1", bench.l1, "--l2", daemon.url])
        #expect(warm.tiers.l1.chunks == stored)
        #expect(warm.tiers.l2.chunks == 0)
        #expect(warm.tiers.l3.chunks == 0)
        for name in ["1", "2", "3"] { #expect(try await bench.same(bench("in"), bench(name))) }
        let numbers = try await bench.succeed(["stats", "--l2", daemon.url, "--json"])
        #expect(numbers.contains("\"repairs\""))
        let ended = try await daemon.stop()
        #expect(ended.status == 0)
    }

    /// As a service or in a container, and as any user who is not root.
    @Test(.enabled(if: geteuid() == 0 && BuiltProgram.isInstalled("setpriv"), "needs root, to give it up"))
    func whoHasNoRightsIsServedByL2() async throws {
        let bench = try await bench()
        let daemon = try await Daemon(bench)
        try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l2", daemon.url])
        let arguments = bench.pullArguments("acme/f:1", "file:\(bench("2"))") + ["--l2", daemon.url]
        let outcome = try await ChildProcess(
            "setpriv", ["--bounding-set=-all", "--inh-caps=-all", try Workbench.binary] + arguments,
            environment: Workbench.unhurried, in: bench(".out")
        ).wait()
        let answer = try JSONDecoder().decode(PullAnswer.self, from: Data(try outcome.succeeded().utf8))
        #expect(answer.tiers.l2.chunks > 0 && answer.tiers.l3.chunks == 0, "\(outcome.error)")
        #expect(try await daemon.stop().status == 0)
    }

    /// What an L1 holds is served without L2, and chunks without L3's copies of them.
    @Test func warmL1NeedsNoChunkOfL3() async throws {
        let bench = try await bench()
        try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l1", bench.l1])
        try await bench.shell("rm -r l3/generations/*/chunks")
        let warm = try await bench.pull("acme/f:1", "file:\(bench("2"))", ["--l1", bench.l1])
        #expect(warm.tiers.l3.chunks == 0)
        #expect(try await bench.same(bench("in"), bench("2")))
    }

    @Test func refusedConnectionLeadsToL3() async throws {
        let bench = try await bench()
        let socket = try ListeningSocket()
        let address = "http://127.0.0.1:\(socket.port)"
        socket.close()
        let answer = try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l2", address])
        #expect(answer.tiers.l2.chunks == 0)
        #expect(answer.tiers.l3.chunks > 0)
        #expect(try await bench.same(bench("in"), bench("1")))
    }

    /// A listener that takes connections and never says a word.
    @Test func silentL2LeadsToL3() async throws {
        let bench = try await bench()
        let socket = try ListeningSocket()
        defer { socket.close() }
        let outcome = try await bench.run(
            bench.pullArguments("acme/f:1", "file:\(bench("1"))") + [
                "--l2", "http://127.0.0.1:\(socket.port)", "--l1", bench.l1, "--l2-deadline", "100ms",
            ])
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(try await bench.same(bench("in"), bench("1")))
    }

    @Test func stoppedDaemonLeadsToL3AndServesAgain() async throws {
        let bench = try await bench()
        let daemon = try await Daemon(bench)
        try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l2", daemon.url])
        try await daemon.process.stop()
        let without = try await bench.pull(
            "acme/f:1", "file:\(bench("2"))", ["--l2", daemon.url, "--l2-deadline", "100ms"])
        #expect(without.tiers.l3.chunks > 0)
        daemon.process.signal(SIGCONT)
        let with = try await bench.pull("acme/f:1", "file:\(bench("3"))", ["--l2", daemon.url])
        #expect(with.tiers.l2.chunks > 0)
        for name in ["1", "2", "3"] { #expect(try await bench.same(bench("in"), bench(name))) }
    }

    @Test func daemonThatDiesUnderWayCostsNobodyAnything() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(4, 30000000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        let daemon = try await Daemon(bench)
        try await bench.pull("acme/f:1", "file:\(bench("1"))", ["--l2", daemon.url])
        let pull = try bench.start(bench.pullArguments("acme/f:1", "file:\(bench("2"))") + ["--l2", daemon.url])
        try await bench.waitForBytes(below: bench.path, of: pull)
        daemon.kill()
        let outcome = try await pull.wait()
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(try await bench.same(bench("in"), bench("2")))
    }
}
