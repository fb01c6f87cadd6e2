import CacheServer
import NIOCore
import TestSupport
import Testing

/// Clients that begin with TLS and do not go on.
@Suite(.timeLimit(.minutes(10)), .enabled(if: TestCertificates.isPossible, "needs openssl"))
struct HandshakeTests {
    private let directory: TemporaryDirectory
    private let certificates: TestCertificates

    init() async throws {
        directory = try TemporaryDirectory()
        certificates = try await TestCertificates(in: directory.path)
    }

    private var security: ServerSecurity {
        var security = ServerSecurity()
        security.certificateFile = certificates.certificate("server")
        security.keyFile = certificates.key("server")
        return security
    }

    private var limits: ServerLimits {
        var limits = ServerLimits()
        limits.handshakeTime = .seconds(100)
        limits.idleTime = .seconds(1 << 20)
        limits.requestTime = .seconds(1 << 20)
        return limits
    }

    /// The head of a record that is longer than what follows.
    private static let incomplete = ByteBuffer(bytes: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00])

    /// A status that curl gets; 0 if it gets none.
    private func ask(_ server: TestServer) async throws -> String {
        try await ChildProcess(
            "curl",
            [
                "-s", "-m", "250", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", certificates.certificate("ca"),
                "https://127.0.0.1:\(server.port)/healthz",
            ]
        ).wait().output
    }

    @Test(arguments: [0, 7]) func handshakeThatStopsIsCutInTime(bytes: Int) async throws {
        try await TestServer.run(limits: limits, security: security) { server async throws in
            try await RawConnection.open(server.port) { connection async throws in
                var part = Self.incomplete
                if let part = part.readSlice(length: bytes), bytes > 0 { try await connection.send(part) }
                // The connection is there once a later one is answered.
                #expect(try await ask(server) == "200")
                server.time.advance(by: .seconds(99))
                #expect(try await ask(server) == "200")
                server.time.advance(by: .seconds(2))
                #expect(try await connection.isClosed())
            }
        }
    }

    /// Its place is free for who comes next, long before its time is over.
    @Test func handshakesThatStopKeepNobodyOut() async throws {
        var few = limits
        few.connections = 4
        try await TestServer.run(limits: few, security: security) { server async throws in
            let stalled = try (0..<24).map { _ in try ClientThatVanishes(server.port) }
            defer { for client in stalled { client.vanish() } }
            for _ in 0..<8 { #expect(try await ask(server) == "200") }
        }
    }

    @Test(arguments: ["GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "\u{0}\u{1}garbage\r\n\r\n"])
    func whatIsNoTLSIsCutAtOnce(text: String) async throws {
        try await TestServer.run(limits: limits, security: security) { server async throws in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(text)
                // An alert may come before the end; nothing of HTTP does.
                #expect(try await connection.response() == nil)
            }
            #expect(try await ask(server) == "200")
        }
    }
}
