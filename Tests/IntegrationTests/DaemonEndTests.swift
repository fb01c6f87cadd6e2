import Foundation
import Testing

/// What the daemon does on signals, and with a log that has no reader.
struct DaemonEndTests {
    /// Starts a daemon as `p` on `port`, with `begin(n)` for a PUT of which the daemon has welcomed the head, and
    /// `end(s)` for its status.
    private func prelude(
        _ bench: Workbench, error: String = "subprocess.DEVNULL", options: [String] = []
    ) throws -> String {
        let server =
            [
                try Workbench.binary, "server", "--listen", "127.0.0.1:0", "--store", bench("l2"), "--capacity",
                "64MiB",
                "--json",
            ] + options
        return """
            import json, signal, socket, subprocess, hashlib, os, http.client
            p = subprocess.Popen(\(server), stdout=subprocess.PIPE, stderr=\(error))
            port = int(json.loads(p.stdout.readline())['listen'].split(':')[1])
            body = os.urandom(300000)
            def begin():
                s = socket.create_connection(('127.0.0.1', port))
                i = hashlib.sha256(body).hexdigest()
                s.sendall(f'PUT /v1/chunks/{i} HTTP/1.1\\r\\nHost: x\\r\\nExpect: 100-continue\\r\\nContent-Length: \
            {len(body)}\\r\\n\\r\\n'.encode())
                assert s.recv(99)[9:12] == b'100'
                return s
            def end(s):
                s.sendall(body)
                return s.recv(99)[9:12].decode()
            def stopped():
                # It has stopped listening.
                while True:
                    try: socket.create_connection(('127.0.0.1', port)).close()
                    except ConnectionResetError: pass  # it was accepted at the last moment
                    except ConnectionRefusedError: return
            """
    }

    @Test func requestUnderWayOutlivesTermination() async throws {
        let bench = try await Workbench()
        let said = try await bench.python(
            prelude(bench) + """

                s = begin(); p.send_signal(signal.SIGTERM); stopped()
                print(end(s), p.wait(300))
                """)
        #expect(said.split(whereSeparator: \.isWhitespace) == ["201", "0"])
    }

    /// Before it stops listening the daemon tells load balancers that it will, and serves as ever meanwhile.
    @Test func shutdownCanBeDelayed() async throws {
        let bench = try await Workbench()
        let said = try await bench.python(
            prelude(bench, options: ["--shutdown-delay", "10m"]) + """

                def ask(path):
                    c = http.client.HTTPConnection('127.0.0.1', port, timeout=300); c.request('GET', path)
                    return c.getresponse().status
                print(ask('/readyz')); p.send_signal(signal.SIGTERM)
                while ask('/readyz') != 503: pass
                print(end(begin()), ask('/healthz')); p.send_signal(signal.SIGTERM); print(p.wait(300))
                """)
        #expect(said.split(whereSeparator: \.isWhitespace) == ["200", "201", "200", "143"])
        // After the delay it ends as it would have without.
        let short = try await bench.python(
            prelude(bench, options: ["--shutdown-delay", "1ms"]) + """

                s = begin(); p.send_signal(signal.SIGTERM); stopped()
                print(end(s), p.wait(300))
                """)
        #expect(short.split(whereSeparator: \.isWhitespace) == ["201", "0"])
    }

    @Test func hangupBreaksNothing() async throws {
        let bench = try await Workbench()
        let said = try await bench.python(
            prelude(bench, error: "subprocess.PIPE") + """

                s = begin(); p.send_signal(signal.SIGHUP)
                while b'SIGHUP' not in p.stderr.readline(): pass
                print(end(s)); p.send_signal(signal.SIGTERM); print(p.wait(300))
                """)
        #expect(said.split(whereSeparator: \.isWhitespace) == ["201", "0"])
    }

    @Test(arguments: ["SIGTERM", "SIGINT"]) func secondSignalEndsAtOnce(second: String) async throws {
        let bench = try await Workbench()
        let said = try await bench.python(
            prelude(bench) + """

                s = begin(); p.send_signal(signal.SIGTERM); stopped(); p.send_signal(signal.\(second))
                print(p.wait(300))
                """)
        #expect(said.split(whereSeparator: \.isWhitespace) == [second == "SIGTERM" ? "143" : "130"])
    }

    /// The pipe is full before the first request; what is refused then has a line in the log.
    @Test func logThatNobodyReadsStopsNothing() async throws {
        let bench = try await Workbench()
        try await bench.shell("echo '{}' > c.json")
        let said = try await bench.python(
            "import os, fcntl\nr, w = os.pipe(); fcntl.fcntl(w, 1031, 4096)\n"
                + prelude(bench, error: "w", options: ["--config", bench("c.json")]) + """

                    fcntl.fcntl(w, fcntl.F_SETFL, os.O_NONBLOCK)
                    try:
                        while True: os.write(w, b'x')
                    except BlockingIOError: fcntl.fcntl(w, fcntl.F_SETFL, 0)
                    def ask(method, path, body=None):
                        c = http.client.HTTPConnection('127.0.0.1', port, timeout=300); c.request(method, path, body)
                        a = c.getresponse(); return a.status, a.read()
                    # What is wrong with it is told in a line that is long: a few are more than the queue holds.
                    open('c.json', 'w').write(json.dumps({'ring': 'x' * 100000}))
                    dropped = 0
                    while not dropped:
                        p.send_signal(signal.SIGHUP)
                        text = ask('GET', '/metrics')[1].decode()
                        dropped = int([l for l in text.splitlines() if l.startswith('layercache_log_dropped_total \
                    ')][0].split()[1])
                    s = begin(); print(end(s), ask('GET', '/readyz')[0])
                    p.send_signal(signal.SIGTERM); print(p.wait(300))
                    """)
        #expect(said.split(whereSeparator: \.isWhitespace) == ["201", "200", "0"])
    }
}
