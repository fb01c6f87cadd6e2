import Foundation
import TestSupport
import Testing

/// The files in packaging/ that operators begin with: each name in them is one that the program knows, and none is
/// missing.
struct ExampleFilesTests {
    private let bench: Workbench

    init() async throws { bench = try await Workbench() }

    /// The example with all that it shows as comments in force, and its paths in the directory of the test.
    private func everything(_ name: String) throws -> String {
        try Project.text("packaging/\(name)").replacing(#/(?m)^    // (".*)$/#) { "    \($0.output.1)" }
            .replacing("/etc/layercache/", with: bench("")).replacing("/var/lib/layercache", with: bench("state"))
            .replacing("/run/layercache/", with: bench("")).replacing("/srv/layers", with: bench.l3)
    }

    private func names(_ text: String) -> Set<String> {
        Set(text.matches(of: #/(?m)^    (?:// )?"([a-z0-9-]+)":/#).map { String($0.output.1) })
    }

    /// The options with a value that a verb has in its help.
    private func options(_ verb: String) async throws -> Set<String> {
        Set(
            try await bench.succeed([verb, "--help"]).matches(of: #/\n  --([a-z0-9-]+) </#)
                .map { String($0.output.1) })
    }

    @Test func eachOptionIsThere() async throws {
        let common = try await options("keygen")
        let server = try await options("server").subtracting(common)
        #expect(names(try Project.text("packaging/server.jsonc")) == server)
        // Verbs of a host have the file of its worker.
        let worker = try await options("worker").union(["prefetch"]).subtracting(["config"])
        #expect(names(try Project.text("packaging/worker.jsonc")) == worker)
    }

    @Test(.enabled(if: TestCertificates.isPossible, "needs openssl")) func theServersExampleServes() async throws {
        let pki = try await TestCertificates(in: bench.path)
        try await bench.shell(
            """
            cp \(pki.certificate("server")) l2.crt; cp \(pki.key("server")) l2.key; cp \(pki.certificate("ca")) \
            workers-ca.crt; mkdir -m 700 state
            """)
        try await bench.succeed(["token", "add", "x", "--scope", "read", "--tokens", bench("tokens.json")])
        for text in [try Project.text("packaging/server.jsonc"), try everything("server.jsonc")] {
            try bench.write(Data(text.utf8), bench("server.jsonc"))
            // The port may be taken, and the disk small.
            let process = try bench.start([
                "server", "--config", bench("server.jsonc"), "--listen", "127.0.0.1:0", "--store", bench("state/l2"),
                "--capacity", "64MiB", "--json",
            ])
            #expect(try await process.firstLine().contains("127.0.0.1"))
            process.signal(SIGTERM)
            #expect(try await process.wait().status == 0)
        }
    }

    @Test(.enabled(if: TestCertificates.isPossible, "needs openssl")) func theWorkersExamplePulls() async throws {
        let pki = try await TestCertificates(in: bench.path)
        try await bench.shell(
            "cp \(pki.certificate("client")) worker.crt; cp \(pki.key("client")) worker.key; mkdir -m 700 state")
        let token = try await bench.succeed([
            "token", "add", "x", "--scope", "write", "--tokens", bench("tokens.json"),
        ])
        try await bench.shell("umask 077; echo '\(token.trimmingCharacters(in: .newlines))' > worker.token")
        let daemon = try await Daemon(
            bench,
            options: [
                "--tokens", bench("tokens.json"), "--tls-cert", pki.certificate("server"), "--tls-key",
                pki.key("server"), "--tls-client-ca", pki.certificate("ca"),
            ])
        try await bench.python("write('in', noise(4, 3000000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        for text in [try Project.text("packaging/worker.jsonc"), try everything("worker.jsonc")] {
            try bench.write(Data(text.utf8), bench("worker.jsonc"))
            try await bench.succeed(
                [
                    "pull", "acme/f:1", "file:\(bench("out"))", "--config", bench("worker.jsonc"), "--l2", daemon.url,
                    "--l1", bench("state/l1"), "--l3", bench.l3, "--keyring", bench.keyring,
                ], environment: Dictionary(uniqueKeysWithValues: Workbench.unhurried.keys.map { ($0, "") }))
            #expect(try await bench.same(bench("in"), bench("out")))
        }
        #expect(try await daemon.stop().status == 0)
    }

    @Test(.enabled(if: WorkerHost.canMount, "\(WorkerHost.needs)")) func theWorkersExampleMounts() async throws {
        let host = try await WorkerHost()
        let text = try everything("worker.jsonc").replacing(#/(?m)^    "l2.*$/#, with: "")
        try bench.write(Data(text.utf8), bench("worker.jsonc"))
        let worker = try await host.startWorker(["--config", bench("worker.jsonc")])
        try await host.mount(try host.target("a"), ["--config", bench("worker.jsonc")])
        try await host.compare(host.bench("targets/a"))
        try await host.unmount(host.bench("targets/a"))
        try await host.end()
        _ = worker
    }
}
