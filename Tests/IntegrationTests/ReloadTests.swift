import Foundation
import Glibc
import TestSupport
import Testing

/// What changes under a running daemon, and what does not.
@Suite(.enabled(if: BuiltProgram.isInstalled("curl"), "needs curl"))
struct ReloadTests {
    private let bench: Workbench
    private var file: String { bench("server.jsonc") }

    init() async throws { bench = try await Workbench() }

    private func configure(_ more: String) throws {
        try bench.write(Data("{\"capacity\": \"64MiB\", // comment\n\(more),}".utf8), file)
    }

    private func start() async throws -> (process: ChildProcess, url: String) {
        let process = try bench.start([
            "server", "--listen", "127.0.0.1:0", "--store", bench("l2"), "--config", file, "--json",
        ])
        struct Ready: Decodable { let listen: String }
        let ready = try JSONDecoder().decode(Ready.self, from: Data(try await process.firstLine().utf8))
        return (process, "http://\(ready.listen)")
    }

    /// Sends SIGHUP and waits for what the log says of it.
    private func reload(_ process: ChildProcess, _ times: Int) async throws -> String {
        process.signal(SIGHUP)
        var lines: [Substring] = []
        try await eventually("line \(times) about SIGHUP") {
            lines = try process.text(process.errorPath).split(separator: "\n").filter { $0.contains("SIGHUP") }
            return lines.count >= times
        }
        return String(lines[times - 1])
    }

    private func ring(_ url: String) async throws -> String {
        let print = "import json, sys; print(*json.load(sys.stdin)[\"ring\"])"
        return try await bench.shell("curl -s '\(url)/v1/stats' | python3 -c '\(print)'")
    }

    @Test func limitsLogAndRingChange() async throws {
        try configure("\"ring\": \"http://a:1\"")
        let (process, url) = try await start()
        #expect(try await ring(url) == "http://a:1\n")
        // With one connection left, a new one ends the one before it, which waits.
        try configure("\"ring\": [\"http://a:1\", \"http://b:1\"], \"connections\": 1, \"log-level\": \"notice\"")
        let changed = try await reload(process, 1)
        #expect(changed.contains(" changed=connections,ring,log-level "), "\(changed)")
        #expect(try await ring(url) == "http://a:1 http://b:1\n")
        let statuses = try await bench.python(
            """
            import json, select, socket
            def connect():
                s = socket.create_connection(('127.0.0.1', \(url.split(separator: ":").last ?? "")), timeout=300)
                return s, ask(s, '/healthz')
            def ask(s, path):
                s.sendall(f'GET {path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.encode())
                head, _, body = s.recv(65536).partition(b'\\r\\n\\r\\n')
                length = int(head.lower().split(b'content-length: ')[1].split(b'\\r\\n')[0])
                while len(body) < length: body += s.recv(65536)
                return head[9:12].decode(), body
            one, (first, _) = connect()
            # It has been served a moment ago: until that is a while back, the others are only told whether all is well.
            while not select.select([one], [], [], 0.3)[0]: two, (second, _) = connect()
            status, body = ask(two, '/v1/stats')
            print(first, second, one.recv(1), status, json.loads(body)['connections']['timedOut'])
            """)
        #expect(statuses == "200 200 b'' 200 0\n")
        let nothing = try await reload(process, 2)
        #expect(nothing.contains(" changed=nothing "), "\(nothing)")
        process.signal(SIGTERM)
        let end = try await process.wait()
        #expect(end.status == 0)
        #expect(end.error.contains(" serving chunks"))
        #expect(!end.error.contains(" stopping"), "it is logged as info: \(end.error)")
    }

    @Test func whatCannotChangeIsToldAndWhatIsWrongChangesNothing() async throws {
        try configure("\"ring\": \"http://a:1\"")
        let (process, url) = try await start()
        try configure("\"ring\": \"http://b:1\", \"memory\": \"1MiB\", \"threads\": 3")
        #expect(try await reload(process, 1).contains(" changed=ring "))
        #expect(try process.text(process.errorPath).contains("options=memory,threads "))
        let faults = [
            ("\"rang\": \"x\"", "unknown name 'rang'"), ("\"connections\": 0", "--connections '0'"),
            ("\"ring\": \"javascript:x\"", "--ring 'javascript:x'"), ("\"log-level\": \"loud\"", "--log-level 'loud'"),
            ("\"ring\" \"x\"", "malformed JSON"),
        ]
        for (number, (wrong, said)) in faults.enumerated() {
            try configure(wrong)
            let line = try await reload(process, 2 + number)
            #expect(line.contains("going on with the old configuration") && line.contains(said), "\(line)")
        }
        #expect(try await ring(url) == "http://b:1\n")
        try FileManager.default.removeItem(atPath: file)
        #expect(try await reload(process, 7).contains("going on with the old configuration"))
        process.signal(SIGTERM)
        #expect(try await process.wait().status == 0)
    }
}
