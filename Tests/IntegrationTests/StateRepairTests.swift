import Foundation
import TestSupport
import Testing

/// What `push --repair` heals beside chunks and manifests, and what a push says besides.
@Suite struct StateRepairTests {
    private func bench() async throws -> Workbench {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 1500000)); write('other', noise(2, 900000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        return bench
    }

    private func push(_ bench: Workbench, _ source: String, _ ref: String, _ more: [String] = []) -> [String] {
        ["push", "file:\(bench(source))", ref, "--l3", bench.l3, "--keyring", bench.keyring] + more
    }

    private func expectWhole(_ bench: Workbench, _ source: String, _ ref: String) async throws {
        try await bench.succeed(["verify", ref, "--l3", bench.l3, "--keyring", bench.keyring])
        try await bench.pull(ref, "file:\(bench("out"))")
        #expect(try await bench.same(bench(source), bench("out")))
    }

    @Test(arguments: ["restored", "lost", "gone"])
    func aStateIsHealed(_ kind: String) async throws {
        let bench = try await bench()
        let state = bench("l3/generations/000001/state")
        let whole = try bench.bytes(state)
        switch kind {
        case "restored": try bench.write(Data([0, 0, 0, 0]) + whole.dropFirst(4), state)
        case "lost": try bench.write(whole.prefix(60), state)
        default: try FileManager.default.removeItem(atPath: state)
        }
        let line = try await bench.fail(push(bench, "other", "acme/g:1"))
        #expect(line.contains("generations/000001/state"))
        let outcome = try await bench.run(push(bench, "other", "acme/g:1", ["--repair"]))
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.error.contains("generations/000001/state"), "\(outcome.error)")
        #expect(outcome.errorLines.count == 1)
        #expect(try (bench.bytes(state) == whole) == (kind == "restored"))
        // What was there stays readable, and pushing goes on without any more ado.
        try await expectWhole(bench, "in", "acme/f:1")
        try await expectWhole(bench, "other", "acme/g:1")
        let next = try await bench.run(push(bench, "in", "acme/h:1"))
        #expect(next.status == 0, "\(next.error)")
        #expect(next.error.isEmpty, "\(next.error)")
        try await expectWhole(bench, "in", "acme/h:1")
    }

    @Test func anEmptiedChunkDirectoryIsFilledAgain() async throws {
        let bench = try await bench()
        let first = try await bench.push("file:\(bench("in"))", "acme/f:1", ["--repair"])
        #expect(first.chunks.new == 0)
        try await bench.shell("rm -rf l3/generations/000001/chunks/*")
        try await bench.fail(bench.pullArguments("acme/f:1", "file:\(bench("out"))"))
        let repaired = try await bench.push("file:\(bench("in"))", "acme/f:1", ["--repair"])
        #expect(repaired.chunks.new == repaired.chunks.total)
        #expect(repaired.chunks.new == 3)
        try await expectWhole(bench, "in", "acme/f:1")
    }

    /// The directory itself remembers that it was used, where the filesystem can.
    @Test func anEmptiedStoreIsToldFromANewOne() async throws {
        let bench = try await bench()
        var daemon = try await Daemon(bench)
        let tiers = ["--l1", bench.l1, "--l2", daemon.url]
        let first = try await bench.pull("acme/f:1", "file:\(bench("out"))", tiers)
        #expect(first.repaired.l1 == 0)
        #expect(try daemon.process.text(daemon.process.errorPath).contains("starts empty") == false)
        guard try await bench.python("print('user.layercache.store' in os.listxattr('l1'))").hasPrefix("True") else {
            return
        }
        _ = try await daemon.stop()
        try await bench.shell("rm -rf l1/* l2/*")
        daemon = try await Daemon(bench)
        let again = try await bench.pull(
            "acme/f:1", "file:\(bench("out"))", ["--l1", bench.l1, "--l2", daemon.url, "--quiet"])
        #expect(again.repaired.l1 == 1)
        #expect(again.tiers.l3.chunks == 3)
        #expect(try daemon.process.text(daemon.process.errorPath).contains("starts empty"))
    }

    /// A keyring that was lost and made again: who has the old key cannot read the ref any more, and the push says so.
    @Test func anotherKeyOfTheTenantIsNamed() async throws {
        let bench = try await bench()
        let again = try await bench.run(push(bench, "in", "acme/f:1"))
        #expect(again.status == 0)
        #expect(again.error.isEmpty)
        try await bench.succeed([
            "keygen", "acme", "--keyring", bench("new.json"), "--deployment-from", bench.keyring, "--quiet",
        ])
        let outcome = try await bench.run(
            ["push", "file:\(bench("in"))", "acme/f:1", "--l3", bench.l3, "--keyring", bench("new.json")])
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(outcome.errorLines.count == 1, "\(outcome.error)")
        #expect(outcome.error.contains("acme/f:1 was sealed with another key of tenant acme"))
        let quiet = try await bench.run(push(bench, "in", "acme/f:1", ["--quiet"]))
        #expect(quiet.status == 0)
        #expect(quiet.error.isEmpty)
    }
}
