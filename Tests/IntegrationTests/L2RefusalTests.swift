import Foundation
import TestSupport
import Testing

/// A client and a daemon that do not want one another: the pull is right all the same, and one line says why.
@Suite(.enabled(if: TestCertificates.isPossible, "needs openssl"))
struct L2RefusalTests {
    private let bench: Workbench
    private let pki: TestCertificates

    init() async throws {
        bench = try await Workbench()
        pki = try await TestCertificates(in: bench.path)
        try await bench.python("write('in', noise(1, 3000000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        for scope in ["read", "write"] {
            try await bench.shell(
                "\(Workbench.binary) token add \(scope) --scope \(scope) --tokens tokens > \(scope).token")
        }
        try await bench.shell("echo lct_$(printf 'a%.0s' $(seq 64)) > wrong.token; chmod 600 *.token")
    }

    /// Pulls, compares what came, and gives tiers and lines on standard error.
    private func pull(_ l2: [String]) async throws -> (answer: PullAnswer, lines: [Substring]) {
        try await bench.shell("rm -rf out")
        let outcome = try await bench.run(bench.pullArguments("acme/f:1", "file:\(bench("out"))") + l2)
        try #require(outcome.status == 0, "\(l2): \(outcome.error)")
        #expect(try await bench.same(bench("in"), bench("out")))
        return (try JSONDecoder().decode(PullAnswer.self, from: Data(outcome.output.utf8)), outcome.errorLines)
    }

    private func tls(_ name: String = "server", _ more: [String] = []) -> [String] {
        ["--tls-cert", pki.certificate(name), "--tls-key", pki.key(name)] + more
    }

    private func token(_ name: String) -> [String] { ["--l2-token-file", bench("\(name).token")] }
    private func trust(_ name: String = "ca") -> [String] { ["--l2-ca", pki.certificate(name)] }
    private func shown(_ name: String) -> [String] { ["--l2-cert", pki.certificate(name), "--l2-key", pki.key(name)] }

    @Test func eachRefusalHasItsLine() async throws {
        try await pki.leaf("stranger", by: "other", for: "DNS:worker")
        let daemon = try await Daemon(
            bench, options: tls("server", ["--tls-client-ca", pki.certificate("ca"), "--tokens", bench("tokens")]))
        let l2 = ["--l2", daemon.url]
        let first = try await pull(l2 + trust() + shown("client") + token("write"))
        #expect(first.answer.tiers.l3.chunks == 6 && first.lines.isEmpty, "\(first)")
        let second = try await pull(l2 + trust() + shown("client") + token("read"))
        #expect(second.answer.tiers.l2.chunks == 6 && second.lines.isEmpty, "\(second)")
        for (what, words) in [
            (trust() + shown("client") + token("wrong"), ["401", "--l2-token-file"]),
            (trust() + shown("client"), ["401", "--l2-token-file"]),
            (trust("other") + shown("client") + token("read"), ["--l2-ca"]),
            (shown("client") + token("read"), ["--l2-ca"]),
            (trust() + token("read"), ["--l2-cert"]),
            (trust() + shown("stranger") + token("read"), ["--l2-cert"]),
        ] {
            let refused = try await pull(l2 + what)
            #expect(refused.answer.tiers.l3.chunks == 6, "\(what)")
            #expect(refused.lines.count == 1, "\(what): \(refused.lines)")
            #expect(words.allSatisfy { refused.lines.first?.contains($0) == true }, "\(what): \(refused.lines)")
        }
        // Nothing of that has reached the daemon's store.
        let stats = ["stats", "--json"] + l2 + trust()
        let line = try await bench.fail(stats + shown("client"))
        #expect(line.contains("401"), "\(line)")
        #expect(try await bench.fail(stats).contains("--l2-cert"))
        #expect(try await bench.succeed(stats + shown("client") + token("read")).contains("\"puts\":"))
    }

    @Test(arguments: [
        ("expired", "IP:127.0.0.1", -1, "expired"), ("elsewhere", "DNS:elsewhere", 30, "not for 127.0.0.1"),
    ])
    func certificateOfTheDaemonMustBeRight(name: String, host: String, days: Int, word: String) async throws {
        try await pki.leaf(name, for: host, days: days)
        let daemon = try await Daemon(bench, options: tls(name))
        let refused = try await pull(["--l2", daemon.url] + trust())
        #expect(refused.answer.tiers.l3.chunks == 6)
        #expect(refused.lines.count == 1 && refused.lines.first?.contains(word) == true, "\(refused.lines)")
    }

    /// Whoever may only read does not fill, and reads what others have filled.
    @Test func tokenToReadFillsNothing() async throws {
        let daemon = try await Daemon(bench, options: ["--tokens", bench("tokens")])
        let l2 = ["--l2", daemon.url]
        let reader = try await pull(l2 + token("read"))
        #expect(reader.answer.tiers.l3.chunks == 6)
        #expect(reader.lines.count == 1 && reader.lines.first?.contains("403") == true, "\(reader.lines)")
        #expect(try await pull(l2 + token("write")).answer.tiers.l3.chunks == 6)
        #expect(try await pull(l2 + token("read")).answer.tiers.l2.chunks == 6)
        // To a port without TLS.
        let plain = try await pull(["--l2", "https://\(daemon.address)"] + trust() + token("read"))
        #expect(plain.lines.count == 1 && plain.lines.first?.contains("does not speak TLS") == true, "\(plain.lines)")
        // To what is no host of this machine, nothing goes unencrypted without a word.
        let open = try await pull(["--l2", "http://192.0.2.1:1", "--l2-patience", "1ms"] + token("read"))
        #expect(open.lines.first?.contains("use https") == true, "\(open.lines)")
    }

    @Test func filesThatCannotBeUsedAreNamed() async throws {
        try await bench.shell("echo nonsense > nonsense; cp read.token open.token; chmod o+r open.token")
        let pull = bench.pullArguments("acme/f:1", "file:\(bench("out"))") + ["--l2", "https://127.0.0.1:1"]
        for (options, word) in [
            (["--l2-token-file", bench("none")], "none"), (["--l2-token-file", bench("nonsense")], "nonsense"),
            (["--l2-token-file", bench("open.token")], "chmod"), (["--l2-ca", bench("nonsense")], "nonsense"),
            (["--l2-cert", pki.certificate("client"), "--l2-key", pki.key("server")], "one pair"),
        ] {
            #expect(try await bench.fail(pull + options).contains(word), "\(options)")
        }
        try await bench.fail(pull + ["--l2-cert", pki.certificate("client")], status: 2)
    }
}
