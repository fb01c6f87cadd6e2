import Foundation
import Glibc
import TestSupport
import Testing

/// The daemon as an operator meets it: with curl, and with signals.
@Suite(.enabled(if: BuiltProgram.isInstalled("curl"), "needs curl"))
struct HTTPContractTests {
    @Test func contractHoldsWithCurl() async throws {
        let bench = try await Workbench()
        var daemon = try await Daemon(bench)
        try await bench.shell(
            "head -c 300000 /dev/urandom > chunk; head -c 700000 /dev/urandom > large; echo other > other")
        let id = try await bench.shell("sha256sum < chunk | cut -c1-64").trimmingCharacters(in: .newlines)
        let large = try await bench.shell("sha256sum < large | cut -c1-64").trimmingCharacters(in: .newlines)
        func status(_ arguments: String, _ path: String) async throws -> String {
            try await bench.shell("curl -s -m 300 -o body -w '%{http_code}' \(arguments) '\(daemon.url)\(path)'")
        }
        let chunk = "/v1/chunks/\(id)"
        #expect(try await status("", chunk) == "404")
        #expect(try await status("--head", chunk) == "404")
        #expect(try await status("-T other", chunk) == "422")
        #expect(try await status("", chunk) == "404")
        #expect(try await status("-T chunk", chunk) == "201")
        #expect(try await status("-T chunk", chunk) == "200")
        #expect(try await status("-T other", chunk) == "422")
        #expect(try await status("--head", chunk) == "200")
        #expect(try await status("", chunk) == "200")
        #expect(try await bench.same(bench("chunk"), bench("body")))
        #expect(try await status("-T large", "/v1/chunks/\(large)") == "413")
        #expect(try await status("-H 'Transfer-Encoding: chunked' -T large", "/v1/chunks/\(large)") == "413")
        #expect(try await status("", "/v1/chunks/\(large)") == "404")
        for path in [
            "/v1/chunks/abc", "/v1/chunks/\(id.uppercased())", "/v1/chunks/\(id)0", "/v1/chunks/\(id.dropLast())g",
            chunk + "?x=1",
        ] {
            #expect(try await status("", path) == "400", "\(path)")
        }
        for path in ["/v1/stats", "/metrics", "/healthz", "/readyz"] {
            #expect(try await status("", path) == "200", "\(path)")
        }
        #expect(try await status("", "/metrics") == "200")
        #expect(try await bench.shell("cat body").contains("# TYPE"))
        #expect(try await status("", "/nowhere") == "404")

        try await bench.python(
            "write('ids', bytes.fromhex('\(id)') + bytes.fromhex('\(large)') + bytes(32))\nwrite('many', bytes(32 "
                + "* 10001))"
        )
        #expect(try await status("--data-binary @ids", "/v1/chunks/missing") == "200")
        // One bit for each id; which end of the byte comes first is the contract's matter, so both are looked at.
        let bits = try bench.bytes(bench("body"))
        #expect(bits.count == 1, "\(bits as NSData)")
        #expect(bits.first?.nonzeroBitCount == 2, "\(bits as NSData)")
        #expect(try await status("--data-binary @many", "/v1/chunks/missing") == "413")
        #expect(try await status("--data-binary @other", "/v1/chunks/missing") == "400")

        #expect(try await daemon.stop().status == 0)
        daemon = try await Daemon(bench)
        #expect(try await status("", chunk) == "200")
        #expect(try await bench.same(bench("chunk"), bench("body")))
    }

    /// Requests under way are no reason to end otherwise than with 0; those that were answered were answered in full.
    @Test func terminationWhileRequestsAreUnderWay() async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(4, 20000000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        let daemon = try await Daemon(bench)
        let pulls = try (0..<3).map {
            try bench.start(bench.pullArguments("acme/f:1", "file:\(bench("out\($0)"))") + ["--l2", daemon.url])
        }
        try await bench.waitForBytes(below: bench.path, of: pulls[0])
        let outcome = try await daemon.stop()
        #expect(outcome.status == 0, "\(outcome.error)")
        for (index, pull) in pulls.enumerated() {
            #expect(try await pull.wait().status == 0)
            #expect(try await bench.same(bench("in"), bench("out\(index)")))
        }
        let again = try await Daemon(bench)
        try await bench.pull("acme/f:1", "file:\(bench("last"))", ["--l2", again.url])
        #expect(try await bench.same(bench("in"), bench("last")))
    }

    @Test func whatCannotServeSaysSo() async throws {
        let bench = try await Workbench()
        let daemon = try await Daemon(bench)
        let taken = try await bench.fail([
            "server", "--listen", daemon.address, "--store", bench("other"), "--capacity", "1GiB", "--quiet",
        ])
        #expect(taken.contains(daemon.address), "\(taken)")
        let small = try await bench.fail([
            "server", "--listen", "127.0.0.1:0", "--store", bench("small"), "--capacity", "1", "--quiet",
        ])
        #expect(small.contains("capacity") || small.contains("small"), "\(small)")
        try await bench.shell("echo > file")
        let noStore = try await bench.fail([
            "server", "--listen", "127.0.0.1:0", "--store", bench("file"), "--capacity", "1GiB", "--quiet",
        ])
        #expect(noStore.contains(bench("file")), "\(noStore)")
        #expect(try await daemon.stop().status == 0)
    }

    /// Where the system has fewer descriptors than there may be connections, there are fewer, and those who come last
    /// have them.
    @Test func fewDescriptorsMakeFewConnections() async throws {
        let bench = try await Workbench()
        let server = [
            try Workbench.binary, "server", "--listen", "127.0.0.1:0", "--store", bench("l2"), "--capacity", "64MiB",
            "--json",
        ]
        let statuses = try await bench.python(
            """
            import json, resource, signal, socket, subprocess
            def few(): resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            p = subprocess.Popen(\(server), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=few)
            port = int(json.loads(p.stdout.readline())['listen'].split(':')[1])
            def ask(s):
                try:
                    s.sendall(b'GET /healthz HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
                    return s.recv(4096)[9:12].decode()
                except ConnectionError:
                    return ''
            sockets = [socket.create_connection(('127.0.0.1', port), timeout=300) for _ in range(100)]
            print(*[ask(s) or 'closed' for s in sockets])
            for s in sockets: s.close()
            # The daemon has seen them go once it serves again.
            for _ in range(100000):
                with socket.create_connection(('127.0.0.1', port), timeout=300) as s:
                    if ask(s) == '200': break
            p.send_signal(signal.SIGTERM)
            print(p.wait(300))
            """)
        let words = statuses.split(whereSeparator: \.isWhitespace)
        #expect(words.last == "0", "\(statuses)")
        #expect(words.count == 101, "\(statuses)")
        #expect(words.dropLast().suffix(8).allSatisfy { $0 == "200" }, "\(statuses)")
        #expect(words.dropLast().allSatisfy { ["200", "closed"].contains($0) }, "\(statuses)")
    }
}
