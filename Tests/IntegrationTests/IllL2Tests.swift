import Foundation
import TestSupport
import Testing

/// An L2 that is slow, silent, flapping or lying: the pull comes to its end without it, right to the byte.
@Suite struct IllL2Tests {
    enum Illness: String, CaseIterable {
        case slowGet, verySlowGet, slowPut, silent, resets, garbage, halfBodies, wrongBytes, errors, closesEachTime
        case wellThenSilent, wellThenGone
    }

    /// An L2 of a few lines that keeps chunks in memory and is ill in the way that its argument names. Prints its port.
    private static let server = #"""
        import http.server, socketserver, struct, socket, sys, threading, time
        illness, chunks, served, forever = sys.argv[1], {}, [0], threading.Event()
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            log_message = lambda *_: None
            def say(self, code, body=b''):
                self.send_response(code)
                self.send_header('Content-Length', str(len(body)))
                if illness == 'closesEachTime': self.send_header('Connection', 'close')
                self.end_headers()
                self.wfile.write(body)
            def ill(self):
                served[0] += 1
                if illness == 'silent' or (illness == 'wellThenSilent' and served[0] > 20): forever.wait()
                if illness == 'wellThenGone' and served[0] > 20: os._exit(0)
                if illness == 'resets' and served[0] % 2:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    self.connection.close()
                    raise ConnectionError
                if illness == 'garbage':
                    self.wfile.write(noise(served[0], 3000))
                    self.close_connection = True
                    return True
                if illness == 'errors': self.say(500); return True
            def do_GET(self):
                if self.ill(): return
                time.sleep({'slowGet': 0.05, 'verySlowGet': 0.5}.get(illness, 0))
                body = chunks.get(self.path)
                if body is None: return self.say(404)
                if illness == 'wrongBytes': body = bytes(len(body))
                if illness == 'halfBodies':
                    self.send_response(200)
                    self.send_header('Content-Length', str(len(body)))
                    self.end_headers()
                    self.wfile.write(body[:len(body) // 2])
                    self.close_connection = True
                    return
                self.say(200, body)
            def do_PUT(self):
                if self.ill(): return
                chunks[self.path] = self.rfile.read(int(self.headers['Content-Length']))
                if illness == 'slowPut': time.sleep(0.5)
                self.say(201)
            def handle(self):
                try: super().handle()
                except OSError: pass
        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            request_queue_size = 128
            def handle_error(self, *_): pass
        # Half of what is asked for is there.
        import glob
        for number, path in enumerate(sorted(glob.glob(sys.argv[2] + '/generations/*/chunks/*/*'))):
            if number % 2: chunks['/v1/chunks/' + os.path.basename(path)] = open(path, 'rb').read()
        server = Server(('127.0.0.1', 0), Handler)
        print(server.server_port, flush=True)
        server.serve_forever()
        """#

    @Test(arguments: Illness.allCases)
    func pullsAreRightBesideIt(_ illness: Illness) async throws {
        let bench = try await Workbench()
        try await bench.python("write('in', noise(1, 12000000))")
        try await bench.push("file:\(bench("in"))", "acme/f:1")
        let server = try ChildProcess(
            "python3", ["-c", "import os\n" + PythonPrelude.text + Self.server, illness.rawValue, bench.l3],
            in: bench(".out"))
        let url = "http://127.0.0.1:\(try await server.firstLine())"
        for name in ["1", "2"] {
            // The times that it has in operation: this is about L2's limits.
            let outcome = try await bench.run(
                bench.pullArguments("acme/f:1", "file:\(bench(name))") + [
                    "--l2", url, "--l2-deadline", "2s", "--l2-patience", "500ms",
                ])
            #expect(outcome.status == 0, "\(outcome.error)")
            #expect(try await bench.same(bench("in"), bench(name)))
        }
    }
}
