import Foundation
import Glibc
import TestSupport
import Testing

/// Several daemons as one L2, by the binary.
@Suite struct RingTests {
    private func daemons(_ bench: Workbench, _ count: Int) async throws -> [Daemon] {
        var daemons: [Daemon] = []
        for number in 0..<count { daemons.append(try await Daemon(bench, store: "l2-\(number)")) }
        return daemons
    }

    @Test func aWarmedImageIsReadWithoutL3() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 12000000))")
        let daemons = try await daemons(bench, 3)
        let urls = daemons.map(\.url).joined(separator: ",")
        let source = "file:\(bench("in"))"
        let pushed = try #require(try await bench.push(source, "acme/f:1", ["--warm", "--l2", urls]).warm)
        #expect(pushed.chunks >= 23 && pushed.bytes >= 12_000_000 && pushed.problems.isEmpty)
        #expect(pushed.arrived == pushed.stored)
        #expect(pushed.arrived.chunks == pushed.chunks && pushed.arrived.bytes == pushed.bytes)
        let pulled = try await bench.pull("acme/f:1", "file:\(bench("out"))", ["--l2", urls])
        #expect(pulled.tiers.l3.chunks == 0 && pulled.tiers.l2.chunks > 0)
        #expect(try await bench.same(bench("in"), bench("out")))
        // A push that has nothing to bring to L3 warms as well; who is away is named, and the push is done.
        daemons[0].kill()
        let less = try await bench.run(
            ["push", source, "acme/f:1", "--l3", bench.l3, "--keyring", bench.keyring, "--warm", "--l2", urls])
        #expect(less.status == 0)
        #expect(less.output.contains("L2 has \(pushed.chunks) of \(pushed.chunks) chunks"), "\(less.output)")
        #expect(less.errorLines.count == 1 && less.error.contains(daemons[0].url), "\(less.error)")
        for daemon in daemons { daemon.kill() }
        let none = try #require(try await bench.push(source, "acme/f:1", ["--warm", "--l2", urls]).warm)
        #expect(none.arrived.chunks == 0 && none.chunks == pushed.chunks && none.problems.count == 3)
        #expect(try await bench.push(source, "acme/f:1").warm == nil)
        try await bench.fail(
            ["push", source, "acme/f:1", "--l3", bench.l3, "--keyring", bench.keyring, "--warm"], status: 2)
    }

    /// All daemons that `--l2` names are asked for their numbers, and those behind a name.
    @Test func statsAreOfAllDaemons() async throws {
        let bench = try await Workbench()
        let daemons = try await daemons(bench, 2)
        func nodes(_ l2: String) async throws -> (outcome: ChildProcess.Outcome, urls: [String]) {
            let outcome = try await bench.run(["stats", "--l2", l2, "--json"])
            guard outcome.status == 0 else { return (outcome, []) }
            let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any]
            let nodes = try #require(object?["nodes"] as? [String: [String: Any]])
            #expect(nodes.values.allSatisfy { $0["leases"] != nil })
            return (outcome, nodes.keys.sorted())
        }
        let urls = daemons.map(\.url)
        let both = try await nodes(urls.joined(separator: ","))
        #expect(both.urls == urls.sorted() && both.outcome.error.isEmpty)
        let named = try await nodes("dns+http://localhost:\(daemons[0].port)")
        #expect(named.urls == [urls[0]])
        daemons[0].kill()
        let one = try await nodes(urls.joined(separator: ","))
        #expect(one.urls == [urls[1]])
        #expect(one.outcome.errorLines.count == 1 && one.outcome.error.contains(urls[0]), "\(one.outcome.error)")
        daemons[1].kill()
        let none = try await nodes(urls.joined(separator: ","))
        #expect(none.outcome.status == 1 && none.outcome.output.isEmpty)
        #expect(none.outcome.errorLines.last?.contains("no L2 daemon gave its numbers") == true)
    }

    /// With the times that it has in operation.
    @Test(arguments: [SIGSTOP, SIGKILL]) func aPullIsRightBesideADaemonThatIsOut(_ number: Int32) async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 24000000))")
        let daemons = try await daemons(bench, 3)
        let urls = daemons.map(\.url).joined(separator: ",")
        try await bench.push("file:\(bench("in"))", "acme/f:1", ["--warm", "--l2", urls])
        try await daemons[1].process.disable(number)
        defer { daemons[1].process.signal(SIGCONT) }
        for name in ["1", "2"] {
            let outcome = try await bench.run(
                bench.pullArguments("acme/f:1", "file:\(bench(name))") + [
                    "--l2", urls, "--l2-deadline", "2s", "--l2-patience", "400ms", "--l2-wait", "5s",
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try await bench.same(bench("in"), bench(name)))
        }
    }

    @Test func aNameOfL2MustBeOne() async throws {
        let bench = try await Workbench()
        for url in ["dns+l2:7070", "dns://l2:7070", "dns+http://l2:0", "dns+dns+http://l2:7070"] {
            let line = try await bench.fail(
                ["pull", "acme/f:1", "file:x", "--l3", bench.l3, "--keyring", bench.keyring, "--l2", url])
            #expect(line.contains("http://HOST:PORT"), "\(url): \(line)")
        }
    }
}
