import CacheCore
import CacheServer
import NIOCore
import TestSupport
import Testing

/// What arrives from those who do not speak HTTP correctly, on purpose or not: an answer or an end, and the daemon
/// lives on.
struct HostileInputTests {
    private static let host = "Host: x\r\n"

    /// Sends `text` and expects one response of `status`; then whether the connection has to end.
    private func expect(_ status: Int, closes: Bool = true, _ text: String, limits: ServerLimits = ServerLimits())
        async throws
    {
        try await TestServer.run(limits: limits) { server async throws in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(text)
                #expect(try await connection.response()?.status == status, "\(text.prefix(200))")
                if closes { #expect(try await connection.isClosed()) }
            }
            #expect(try await server.call("GET", server.url("/healthz")).status == 200)
        }
    }

    @Test(arguments: [
        "GARBAGE\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/1.1\r\nHost x\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\n: empty\r\nHost: x\r\n\r\n",
    ])
    func malformedRequestsGet400(text: String) async throws {
        try await expect(400, text)
    }

    @Test func unknownVersionsAreRefused() async throws {
        try await expect(505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n")
    }

    @Test func oneHostFieldIsNeeded() async throws {
        try await expect(400, closes: false, "GET /healthz HTTP/1.1\r\n\r\n")
        try await expect(400, closes: false, "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        try await expect(200, closes: true, "GET /healthz HTTP/1.0\r\n\r\n")
    }

    @Test func hugeHeadsAreRefused() async throws {
        let long = String(repeating: "a", count: 20_000)
        try await expect(431, "GET /healthz HTTP/1.1\r\nX: \(long)\r\n\r\n")
        try await expect(431, "GET /\(long) HTTP/1.1\r\n\(Self.host)\r\n")
        let many = (0..<100).map { "X-\($0): y\r\n" }.joined()
        try await expect(431, "GET /healthz HTTP/1.1\r\n\(Self.host)\(many)\r\n")
        try await expect(414, closes: false, "GET /\(long.prefix(3_000)) HTTP/1.1\r\n\(Self.host)\r\n")
    }

    @Test func endlessHeadIsCutOff() async throws {
        try await TestServer.run { server async throws in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send("GET /healthz HTTP/1.1\r\n")
                let status: Int?
                do {
                    for _ in 0..<10_000 { try await connection.send("X: \(String(repeating: "y", count: 1_000))\r\n") }
                    status = try await connection.response()?.status
                } catch {
                    status = try await connection.response()?.status
                }
                #expect(status == nil || status == 431)
            }
            #expect(try await server.call("GET", server.url("/healthz")).status == 200)
        }
    }

    @Test func unknownExpectationsAreRefused() async throws {
        let target = "/v1/chunks/\(TestChunk(seed: 1).id.hex)"
        try await expect(417, "PUT \(target) HTTP/1.1\r\n\(Self.host)Expect: tea\r\nContent-Length: 9\r\n\r\n")
    }

    @Test func putWithoutLengthIsRefused() async throws {
        try await expect(411, closes: false, "PUT /v1/chunks/\(TestChunk(seed: 1).id.hex) HTTP/1.1\r\n\(Self.host)\r\n")
    }

    @Test func declaredLengthBeyondTheLimitIsRefusedBeforeTheBody() async throws {
        let target = "/v1/chunks/\(TestChunk(seed: 1).id.hex)"
        for length in ["524289", "99999999999", "99999999999999999999"] {
            let status = length.count > 19 ? 400 : 413
            try await expect(
                status,
                "PUT \(target) HTTP/1.1\r\n\(Self.host)Expect: 100-continue\r\nContent-Length: \(length)\r\n\r\n")
        }
    }

    @Test func bodyOnAGetIsRefused() async throws {
        try await expect(400, "GET /healthz HTTP/1.1\r\n\(Self.host)Content-Length: 5\r\n\r\nhello")
        try await expect(400, "GET /healthz HTTP/1.1\r\n\(Self.host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    }

    @Test func upgradesAreNotOfferedAndEndTheConnection() async throws {
        try await expect(200, "GET /healthz HTTP/1.1\r\n\(Self.host)Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        try await expect(405, "CONNECT x:1 HTTP/1.1\r\n\(Self.host)\r\n")
    }

    @Test func absoluteFormAndItsTricks() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: 10)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port) { connection async throws in
                let targets = [
                    ("http://x/v1/chunks/\(chunk.id.hex)", 200), ("HTTP://x/v1/chunks/\(chunk.id.hex)", 200),
                    ("http://x", 200), ("/%76%31/chunks/\(chunk.id.hex)", 404), ("/v1/%63hunks/\(chunk.id.hex)", 404),
                    ("/v1/chunks/%2e%2e/stats", 400), ("/v1/../v1/chunks/\(chunk.id.hex)", 404),
                    ("//v1/chunks/\(chunk.id.hex)", 404), ("/v1/chunks/\(chunk.id.hex)#x", 400), ("/v1/chunks/", 400),
                    ("/healthz/../v1/stats", 404),
                ]
                for (target, status) in targets {
                    try await connection.send("GET \(target) HTTP/1.1\r\n\(Self.host)\r\n")
                    #expect(try await connection.response()?.status == status, "\(target)")
                }
            }
        }
    }

    @Test func truncatedBodyIsNotStored() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: 1_000)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)Content-Length: 1001\r\n\r\n")
                try await connection.send(chunk.bytes)
                connection.finish()
                #expect(try await connection.response()?.status == 400)
                #expect(try await connection.isClosed())
            }
            #expect(try await server.get(chunk).status == 404)
        }
    }

    @Test func surplusOfABodyIsTheNextRequest() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: 1_000)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)Content-Length: 999\r\n\r\n")
                try await connection.send(chunk.bytes)
                #expect(try await connection.response()?.status == 422)
                try await connection.send("\u{0}\r\n\r\n")
                #expect(try await connection.response()?.status == 400)
            }
            #expect(try await server.get(chunk).status == 404)
        }
    }

    @Test func expectContinueIsAnswered() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)Expect: 100-Continue\r\n"
                        + "Content-Length: \(chunk.bytes.readableBytes)\r\n\r\n")
                #expect(try await connection.response()?.status == 100)
                try await connection.send(chunk.bytes)
                #expect(try await connection.response()?.status == 201)
            }
        }
    }

    @Test func tinyPiecesOfAChunkedBodyAddUp() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: 500)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)Transfer-Encoding: chunked\r\n\r\n")
                for byte in chunk.bytes.readableBytesView {
                    try await connection.send("1\r\n")
                    try await connection.send(ByteBuffer(bytes: [byte, 13, 10]))
                }
                try await connection.send("0\r\n\r\n")
                #expect(try await connection.response()?.status == 201)
            }
        }
    }

    @Test func oldProtocolClosesUnlessAskedNotTo() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send("GET /v1/chunks/\(chunk.id.hex) HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                let kept = try #require(try await connection.response())
                #expect(kept.head.contains("Connection: keep-alive"))
                try await connection.send("GET /v1/chunks/\(chunk.id.hex) HTTP/1.0\r\n\r\n")
                let closed = try #require(try await connection.response())
                #expect(closed.head.contains("Connection: close"))
                #expect(closed.body == chunk.bytes)
                #expect(try await connection.isClosed())
            }
        }
    }

    @Test func halfClosedClientGetsItsAnswers() async throws {
        try await TestServer.run(memory: 0) { server async throws in
            let chunk = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port) { connection async throws in
                let request = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)\r\n"
                try await connection.send(request + request + request)
                connection.finish()
                for _ in 0..<3 { #expect(try await connection.response()?.body == chunk.bytes) }
                #expect(try await connection.isClosed())
            }
        }
    }

    @Test(arguments: [0, 64 << 20]) func pipelinedRequestsAreAnsweredInOrder(memory: Int) async throws {
        try await TestServer.run(memory: memory) { server async throws in
            let chunks = (0..<8).map { TestChunk(seed: $0, length: 50_000) }
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
            try await RawConnection.open(server.port) { connection async throws in
                var requests = ""
                for chunk in chunks {
                    requests += "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)\r\n"
                    requests += "HEAD /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)\r\n"
                    requests += "GET /healthz HTTP/1.1\r\n\(Self.host)\r\n"
                }
                try await connection.send(requests)
                for chunk in chunks {
                    #expect(try await connection.response()?.body == chunk.bytes)
                    #expect(try await connection.response(hasBody: false)?.status == 200)
                    #expect(try await connection.response().map { String(buffer: $0.body) } == "alive\n")
                }
            }
        }
    }

    @Test func pipelinedPutsAreStoredOneAfterTheOther() async throws {
        try await TestServer.run { server async throws in
            let chunks = (0..<6).map { TestChunk(seed: $0, length: 90_000) }
            try await RawConnection.open(server.port) { connection async throws in
                for chunk in chunks {
                    try await connection.send(
                        "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)Content-Length: "
                            + "\(chunk.bytes.readableBytes)\r\n\r\n"
                    )
                    try await connection.send(chunk.bytes)
                }
                for _ in chunks { #expect(try await connection.response()?.status == 201) }
            }
            for chunk in chunks { #expect(try await server.get(chunk).body == chunk.bytes) }
        }
    }

    @Test func floodOfPipelinedRequestsIsBounded() async throws {
        try await TestServer.run(memory: 0) { server async throws in
            let chunk = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port) { connection async throws in
                let first = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)\r\n"
                let flood = String(repeating: "GET /healthz HTTP/1.1\r\n\(Self.host)\r\n", count: 1_000)
                try await connection.send(first + flood)
                #expect(try await connection.response()?.body == chunk.bytes)
                var statuses: [Int] = []
                while let response = try await connection.response() { statuses.append(response.status) }
                #expect(statuses.last == 429)
                #expect(statuses.dropLast().allSatisfy { $0 == 200 })
                #expect(statuses.count < 400)
            }
            #expect(try await server.call("GET", server.url("/healthz")).status == 200)
        }
    }

    @Test func randomBytesNeverStopTheServer() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("seed \(seed)")
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1)
            #expect(try await server.put(chunk).status == 201)
            var generator = SeededGenerator(seed: seed)
            let valid = Array(
                ("PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)Content-Length: 20\r\n\r\n01234567890123456789"
                    + "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\n\(Self.host)\r\n"
                    + "POST /v1/chunks/missing HTTP/1.1\r\n\(Self.host)Transfer-Encoding: "
                    + "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
                    .utf8)
            for round in 0..<150 {
                var bytes = round % 3 == 0 ? (0..<200).map { _ in UInt8.random(in: 0...255, using: &generator) } : valid
                for _ in 0..<Int.random(in: 0...6, using: &generator) {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(
                        in: 0...255, using: &generator)
                }
                bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator) / 2)
                let input = ByteBuffer(bytes: bytes)
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.send(input)
                    connection.finish()
                    while try await connection.response(hasBody: false) != nil {}
                }
            }
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }
}
