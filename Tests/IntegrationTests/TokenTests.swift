import Foundation
import TestSupport
import Testing

/// Tokens as an operator and a stranger meet them: with the command, curl and a look around.
@Suite(.enabled(if: BuiltProgram.isInstalled("curl"), "needs curl"))
struct TokenTests {
    private func add(_ bench: Workbench, _ name: String, _ scope: String) async throws -> String {
        let text = try await bench.succeed(["token", "add", name, "--scope", scope, "--tokens", bench("tokens")])
        #expect(text.hasSuffix("\n") && text.split(separator: "\n").count == 1)
        return text.trimmingCharacters(in: .newlines)
    }

    @Test func tokensAreMadeListedAndTakenBack() async throws {
        let bench = try await Workbench()
        let list = ["--tokens", bench("tokens")]
        let token = try await add(bench, "worker", "read")
        let json = try await bench.succeed(["token", "add", "ingest", "--scope", "write", "--json", "--quiet"] + list)
        let made = try JSONDecoder().decode([String: String].self, from: Data(json.utf8))
        #expect(made["name"] == "ingest" && made["scope"] == "write" && made["token"]?.hasPrefix("lct_") == true)
        let text = try await bench.succeed(["token", "list"] + list)
        #expect(
            text.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
                == [["worker", "read"], ["ingest", "write"]])
        let file = String(decoding: try bench.bytes(bench("tokens")), as: UTF8.self)
        #expect(!file.contains(token.dropFirst(4)))
        #expect(try await bench.shell("stat -c %a tokens") == "600\n")
        #expect(try await bench.fail(["token", "add", "worker", "--scope", "read"] + list).contains("worker"))
        try await bench.succeed(["token", "remove", "worker"] + list)
        #expect(try await bench.fail(["token", "remove", "worker"] + list).contains("worker"))
        #expect(
            try await bench.succeed(["token", "list", "--json"] + list)
                == "{\"tokens\":[{\"name\":\"ingest\",\"scope\":\"write\"}]}\n")
        for bad in [
            ["token", "add", "x", "--tokens", bench("tokens")], ["token", "add", "x", "--scope", "all"] + list,
            ["token", "list"], ["token", "remove"] + list,
        ] {
            try await bench.fail(bad, status: 2)
        }
        #expect(try await bench.fail(["token", "list", "--tokens", bench("none")]).contains("token add"))
        // A token that cannot be printed is not added.
        try await bench.shell(
            "! \(Workbench.binary) token add lost --scope read --tokens tokens > /dev/full 2> /dev/null")
        #expect(try await !bench.succeed(["token", "list"] + list).contains("lost"))
    }

    @Test func listeningForOthersNeedsTokensAndTLS() async throws {
        let bench = try await Workbench()
        _ = try await add(bench, "worker", "read")
        let server = ["server", "--store", bench("l2"), "--capacity", "64MiB", "--quiet", "--listen"]
        for (address, more) in [
            ("0.0.0.0:0", [String]()), ("0.0.0.0:0", ["--tokens", bench("tokens")]), ("[::]:0", []),
        ] {
            let line = try await bench.fail(server + [address] + more)
            #expect(line.contains("--insecure") && line.contains(address), "\(line)")
        }
        #expect(!FileManager.default.fileExists(atPath: bench("l2")))
        let daemon = try bench.start(server + ["0.0.0.0:0", "--insecure", "--json"])
        #expect(try await daemon.firstLine().contains("0.0.0.0:"))
        let damaged = try await bench.fail(server + ["127.0.0.1:0", "--tokens", bench("none")])
        #expect(damaged.contains(bench("none")))
    }

    /// A token that is taken back is refused within a second on a connection that is open; nobody who looks on learns
    /// a token.
    @Test func tokenIsRefusedWithinASecondAndSeenNowhere() async throws {
        let bench = try await Workbench()
        let token = try await add(bench, "worker", "write")
        let daemon = try await Daemon(bench, options: ["--tokens", bench("tokens")])
        let said = try await bench.python(
            """
            import hashlib, http.client, time
            c = http.client.HTTPConnection('\(daemon.address)')
            def ask(method, path, body=None, token='\(token)'):
                c.request(method, path, body, {'Authorization': 'Bearer ' + token})
                r = c.getresponse(); r.read(); return r.status
            body = noise(1, 300000); path = '/v1/chunks/' + hashlib.sha256(body).hexdigest()
            first = [ask('PUT', path, body), ask('GET', path), ask('GET', '/v1/stats')]
            sock = c.sock
            remove = ['\(try Workbench.binary)', 'token', 'remove', 'worker', '--tokens', 'tokens', '--quiet']
            subprocess.check_call(remove)
            start = time.monotonic()
            while ask('GET', path) == 200: assert c.sock is sock
            print(first, 'in time' if time.monotonic() - start < 1 else time.monotonic() - start)
            environment = open('/proc/\(daemon.process.pid)/environ').read()
            arguments = open('/proc/\(daemon.process.pid)/cmdline').read()
            print('\(token)'[4:] in environment + arguments)
            """)
        #expect(said == "[201, 200, 200] in time\nFalse\n")
        let curl = "curl -s -m 60 -o body -w '%{http_code}' -H 'Authorization: Bearer \(token)'"
        #expect(try await bench.shell("\(curl) \(daemon.url)/metrics") == "401")
        #expect(try await !bench.shell("cat body").contains(token.dropFirst(4)))
        try bench.write(Data("{".utf8), bench("tokens"))
        try await eventually("a line about the damaged list") {
            try daemon.process.text(daemon.process.errorPath).contains("nobody has access")
        }
        let outcome = try await daemon.stop()
        #expect(outcome.status == 0)
        #expect(outcome.errorLines.count { $0.contains("nobody has access") } == 1, "\(outcome.error)")
        #expect(!outcome.error.contains(token.dropFirst(4)))
    }
}
