import Foundation
import TestSupport
import Testing

/// TLS of the daemon, with other people's clients.
@Suite(.enabled(if: TestCertificates.isPossible && BuiltProgram.isInstalled("curl"), "needs openssl and curl"))
struct TLSTests {
    private let bench: Workbench
    private let pki: TestCertificates

    init() async throws {
        bench = try await Workbench()
        pki = try await TestCertificates(in: bench.path)
    }

    private func serverOptions(_ name: String = "server", clients authority: String? = nil) -> [String] {
        ["--tls-cert", pki.certificate(name), "--tls-key", pki.key(name)]
            + (authority.map { ["--tls-client-ca", pki.certificate($0)] } ?? [])
    }

    /// What `openssl s_client` says of a connection that it closes again, and whether it ended well.
    private func client(_ daemon: Daemon, _ options: String) async throws -> (text: String, isWell: Bool) {
        let text = try await bench.shell(
            """
            s=0; printf 'GET /readyz HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' | timeout 250 \
            openssl s_client -quiet -verify_return_error -connect \(daemon.address) \(options) \
            > said 2>&1 || s=$?
            cat said; echo "status $s"
            """)
        return (text, text.contains("200 OK"))
    }

    @Test func whoIsNoClientGetsNowhere() async throws {
        try await pki.leaf("stranger", by: "other", for: "DNS:worker")
        try await pki.leaf("late", for: "DNS:worker", days: -1)
        let daemon = try await Daemon(bench, options: serverOptions(clients: "ca"))
        let trust = "-CAfile \(pki.certificate("ca"))"
        func shown(_ name: String) -> String { "-cert \(pki.certificate(name)) -key \(pki.key(name))" }
        for version in ["-tls1_2", "-tls1_3"] {
            let good = try await client(daemon, "\(version) \(trust) \(shown("client")) -alpn h2,http/1.1")
            #expect(good.isWell, "\(good.text)")
            for (who, options) in [
                ("nobody", trust), ("stranger", "\(trust) \(shown("stranger"))"), ("late", "\(trust) \(shown("late"))"),
                ("who trusts another", "-CAfile \(pki.certificate("other")) \(shown("client"))"),
            ] {
                let bad = try await client(daemon, "\(version) \(options)")
                #expect(!bad.isWell, "\(version) \(who): \(bad.text)")
            }
        }
        for version in ["-tls1", "-tls1_1"] {
            let old = try await client(daemon, "\(version) -cipher ALL:@SECLEVEL=0 \(trust) \(shown("client"))")
            #expect(!old.isWell && old.text.contains("alert protocol version"), "\(old.text)")
        }
        // Without forward secrecy, or without authenticated encryption.
        for cipher in ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"] {
            let weak = try await client(daemon, "-tls1_2 -cipher \(cipher):@SECLEVEL=0 \(trust) \(shown("client"))")
            #expect(!weak.isWell && weak.text.contains("handshake failure"), "\(weak.text)")
        }
        let plain = try await bench.shell("curl -s -m 60 http://\(daemon.address)/readyz > /dev/null || echo $?")
        #expect(plain != "")
        let alpn = try await bench.shell(
            "openssl s_client -connect \(daemon.address) \(trust) \(shown("client")) -alpn h2,http/1.1 < /dev/null 2>&1"
        )
        #expect(alpn.contains("ALPN protocol: http/1.1"), "\(alpn)")
        #expect(try await daemon.stop().status == 0)
    }

    /// Sizes around the pieces in which responses go out, each way, on one connection; and a client that reads slowly.
    @Test func chunksAreTheSameOnBothSides() async throws {
        let daemon = try await Daemon(bench, options: serverOptions())
        let said = try await bench.python(
            """
            import hashlib, http.client, ssl, socket
            context = ssl.create_default_context(cafile='ca.crt')
            c = http.client.HTTPSConnection('\(daemon.address)', context=context)
            def ask(method, path, body=None):
                c.request(method, path, body)
                r = c.getresponse(); return r.status, r.read()
            p = 30 * 1024
            for size in [1, 100, 16384, p - 1, p, p + 1, 2 * p, 5 * p + 7, 524287, 524288]:
                body = noise(size, size); path = '/v1/chunks/' + hashlib.sha256(body).hexdigest()
                assert ask('GET', path)[0] == 404
                assert ask('PUT', path, body)[0] == 201
                assert ask('GET', path) == (200, body), size
                assert ask('HEAD', path) == (200, b'')
            assert ask('PUT', path, noise(9, 700000))[0] == 413
            c.close()
            # Eight at once, answered in order, to a client that reads nothing for a while.
            raw = socket.create_connection(tuple('\(daemon.address)'.split(':')))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            s = context.wrap_socket(raw, server_hostname='127.0.0.1')
            s.sendall(f'GET {path} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.encode() * 8)
            f = s.makefile('rb')
            for _ in range(8):
                assert f.readline().startswith(b'HTTP/1.1 200')
                while f.readline() != b'\\r\\n': pass
                assert f.read(len(body)) == body
            # The last answer of a connection comes whole, and then a goodbye.
            s.sendall(f'GET {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'.encode())
            assert f.read().endswith(body)
            print('same')
            """)
        #expect(said == "same\n")
        #expect(try await daemon.stop().status == 0)
    }

    /// New connections get what is in the files; a pair that does not fit together changes nothing, with one line.
    @Test func certificatesAreReadAgain() async throws {
        try await bench.shell("cp server.crt live.crt; cp server.key live.key")
        try await pki.leaf("next")
        let daemon = try await Daemon(bench, options: serverOptions("live", clients: "ca"))
        func subject() async throws -> String {
            try await bench.shell(
                """
                openssl s_client -connect \(daemon.address) -CAfile ca.crt -cert client.crt -key client.key \
                < /dev/null 2> /dev/null | openssl x509 -noout -subject
                """)
        }
        func log() throws -> String { try daemon.process.text(daemon.process.errorPath) }
        #expect(try await subject().contains("server"))
        // The certificate first, and half of it: what copies files may be seen at any moment.
        try await bench.shell("head -c 200 next.crt > live.crt")
        try await eventually("a line about half a certificate") { try log().contains("going on with the old") }
        #expect(try await subject().contains("server"))
        try await bench.shell("cp next.crt live.crt")
        try await eventually("a line about a pair that is none") { try log().contains("of one pair") }
        #expect(try await subject().contains("server"))
        try await bench.shell("cp next.key live.key")
        try await eventually("the new certificate") { try await subject().contains("next") }
        let outcome = try await daemon.stop()
        #expect(outcome.status == 0)
        #expect(outcome.errorLines.count { $0.contains("going on with the old certificates") } == 2, "\(outcome.error)")
        #expect(outcome.errorLines.count { $0.contains("new certificates are in use") } == 1, "\(outcome.error)")
    }

    /// Who forgot the `s` of `https` is told of in one line, however often it tries.
    @Test func plainRequestsAreOneLine() async throws {
        let daemon = try await Daemon(bench, options: serverOptions())
        func lines() throws -> Int {
            try daemon.process.text(daemon.process.errorPath).split(separator: "\n").count { $0.contains("https://") }
        }
        func ask(_ options: String) async throws {
            let url = "http://\(daemon.address)/x"
            try await bench.shell("for i in 1 2 3; do curl -s -m 60 \(options) \(url) && exit 1; done; true")
        }
        try await ask("-I")
        try await eventually("a line about plain HTTP") { try lines() == 1 }
        try await ask("-T ca.crt")
        #expect(try await client(daemon, "-CAfile \(pki.certificate("ca"))").isWell)
        #expect(try await daemon.stop().status == 0)
        #expect(try lines() == 1)
    }

    @Test func filesThatCannotServeAreNamed() async throws {
        try await pki.leaf("other-server")
        try await bench.shell(
            """
            echo nonsense > nonsense; : > empty; chmod o+r client.key
            openssl pkey -in server.key -aes256 -passout pass:x -out locked.key; chmod 600 locked.key
            """)
        let server = ["server", "--listen", "127.0.0.1:0", "--store", bench("l2"), "--capacity", "64MiB"]
        for (certificate, key, word) in [
            ("server.crt", "other-server.key", "one pair"), ("nonsense", "server.key", "nonsense"),
            ("empty", "server.key", "empty"), ("none", "server.key", "none"), ("server.crt", "nonsense", "nonsense"),
            ("server.crt", "locked.key", "passphrase"), ("client.crt", "client.key", "chmod"),
        ] {
            let line = try await bench.fail(server + ["--tls-cert", bench(certificate), "--tls-key", bench(key)])
            #expect(line.contains(word), "\(line)")
        }
        let authority = serverOptions() + ["--tls-client-ca", bench("nonsense")]
        #expect(try await bench.fail(server + authority).contains("nonsense"))
        for bad in [["--tls-cert", "x"], ["--tls-key", "x"], ["--tls-client-ca", "x"]] {
            try await bench.fail(server + bad, status: 2)
        }
    }
}
