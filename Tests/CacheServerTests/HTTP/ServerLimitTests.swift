import CacheCore
import CacheServer
import NIOCore
import TestSupport
import Testing

/// Each limit with a small value: who goes beyond gets what the limit's documentation says, and others are served.
@Suite(.timeLimit(.minutes(10)))
struct ServerLimitTests {
    /// What is not the matter of a test lasts for ever.
    private func limits(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        limits.idleTime = .seconds(1 << 20)
        limits.requestTime = .seconds(1 << 20)
        limits.waitTime = .seconds(1 << 20)
        change(&limits)
        return limits
    }

    @Test(arguments: ["GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-", "\r\n"])
    func slowHeadGets408(beginning: String) async throws {
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(60) }) { server async throws in
            async let _ = server.passTime(in: .seconds(10))
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(beginning)
                #expect(try await connection.response()?.status == 408)
                #expect(try await connection.isClosed())
            }
            #expect(try await server.statistics().connections.timedOut > 0)
        }
    }

    @Test func slowHeadBehindARequestGets408() async throws {
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(60) }) { server async throws in
            async let _ = server.passTime(in: .seconds(10))
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try await connection.response()?.status == 200)
                try await connection.send("G")
                #expect(try await connection.response()?.status == 408)
                #expect(try await connection.isClosed())
            }
        }
    }

    @Test func slowBodyGets408AndIsNotStored() async throws {
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(60) }) { server async throws in
            let chunk = TestChunk(seed: 1, length: 1_000)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
                try await connection.send(chunk.bytes.getSlice(at: 0, length: 999) ?? ByteBuffer())
                try await server.until { $0.bytesIn == 999 }
                server.time.advance(by: .seconds(60))
                #expect(try await connection.response()?.status == 408)
                #expect(try await connection.isClosed())
            }
            #expect(try await server.get(chunk).status == 404)
            #expect(try await server.statistics().bytesInFlight == 0)
        }
    }

    @Test func idleConnectionIsClosedWithoutAWord() async throws {
        try await TestServer.run(limits: limits { $0.idleTime = .seconds(60) }) { server async throws in
            async let _ = server.passTime(in: .seconds(10))
            try await RawConnection.open(server.port) { connection async throws in
                #expect(try await connection.isClosed())
            }
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(try await connection.response()?.status == 200)
                #expect(try await connection.isClosed())
            }
        }
    }

    @Test func readerThatDoesNotReadIsCutOff() async throws {
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(60) }) { server async throws in
            let chunk = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port, receiveBuffer: 4_096) { connection async throws in
                let request = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n"
                try await connection.send(String(repeating: request, count: 40))
                // Nothing is read here until the daemon has given up on this connection.
                async let _ = server.passTime(in: .seconds(10))
                try await server.until { $0.connections.timedOut > 0 && $0.bytesInFlight == 0 }
            }
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    /// What is not read would lie with the kernel otherwise, and count as taken. All of it comes once it is read.
    @Test func chunkThatIsNotReadStaysWithTheDaemon() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port, receiveBuffer: 4_096) { connection async throws in
                let request = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n"
                try await connection.send(request)
                try await server.until { $0.bytesInFlight == ChunkLimits.sealedBytes }
                #expect(try await connection.response()?.body == chunk.bytes)
                for _ in 0..<5 {
                    try await connection.send(request)
                    #expect(try await connection.response()?.body == chunk.bytes)
                }
            }
        }
    }

    /// A client may be gone at any moment, also in the one in which its answer is written: what it held is given back
    /// then.
    @Test func clientsThatVanishLeaveNoRoomTaken() async throws {
        try await TestServer.run(memory: 0) { server async throws in
            let chunks = (0..<8).map { TestChunk(seed: $0, length: ChunkLimits.sealedBytes) }
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
            var random = SeededGenerator(seed: 1)
            for _ in 0..<100 {
                let clients = try chunks.map { chunk in
                    let client = try ClientThatVanishes(server.port)
                    try client.send("GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n")
                    return client
                }
                // Before, while and after the answers are written.
                for _ in 0..<random.next() % 300 { await Task.yield() }
                for client in clients { client.vanish() }
            }
            let chunk = chunks[0]
            try await server.until { $0.bytesInFlight == 0 }
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    @Test func clientsThatCloseBetweenRequestsHaveNotVanished() async throws {
        try await TestServer.run { server async throws in
            for text in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"] {
                for _ in 0..<5 {
                    try await RawConnection.open(server.port) { connection async throws in
                        try await connection.send(text)
                        if !text.isEmpty { #expect(try await connection.response()?.status == 200) }
                        connection.finish()
                        #expect(try await connection.isClosed())
                    }
                }
            }
            #expect(try await server.metric("layercache_vanished_total") == 0)
            #expect(try await server.metric("layercache_malformed_total") == 0)
        }
    }

    @Test func clientsThatVanishInABodyAreNotMalformed() async throws {
        try await TestServer.run { server async throws in
            let put =
                "PUT /v1/chunks/\(TestChunk(seed: 1).id.hex) HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"
            for text in [put, "GET /heal"] {
                let client = try ClientThatVanishes(server.port)
                try client.send(text)
                if text == put { try await server.until { $0.bytesIn == 3 } }
                client.vanish()
            }
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(put)
                connection.finish()
                #expect(try await connection.response()?.status == 400)
            }
            try await server.until { $0.connections.open == 1 }
            #expect(try await server.metric("layercache_malformed_total") == 0)
            // The beginning of a head may not have arrived before the reset.
            #expect(try await server.metric("layercache_vanished_total") ?? 0 >= 2)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send("NO HTTP\r\n\r\n")
                #expect(try await connection.response()?.status == 400)
            }
            #expect(try await server.metric("layercache_malformed_total") == 1)
        }
    }

    @Test func putsBeyondTheBytesInFlightWaitTheirTurn() async throws {
        // A budget for one body: the others wait in line, and all are stored.
        try await TestServer.run(limits: limits { $0.bytesInFlight = 1 }) { server async throws in
            let chunks = (0..<16).map { TestChunk(seed: $0, length: 400_000) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for chunk in chunks {
                    group.addTask { () async throws in #expect(try await server.put(chunk).status == 201) }
                }
                try await group.waitForAll()
            }
            for chunk in chunks { #expect(try await server.get(chunk).body == chunk.bytes) }
            #expect(try await server.statistics().bytesInFlight == 0)
        }
    }

    @Test func waitThatIsTooLongGets503() async throws {
        let small = limits {
            $0.bytesInFlight = 1
            $0.waitTime = .seconds(100)
        }
        try await TestServer.run(limits: small) { server async throws in
            let slow = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            let chunk = TestChunk(seed: 2)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(slow.id.hex) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
                        + "524288\r\n\r\n"
                )
                #expect(try await connection.response()?.status == 100)
                async let put = server.put(chunk)
                async let get = server.get(chunk)
                try await server.until("layercache_waits_total", is: 2)
                // A body that goes on coming keeps its part of the budget, however slow it is.
                var rest = slow.bytes
                for byte in 1...4 {
                    server.time.advance(by: .seconds(30))
                    try await connection.send(try #require(rest.readSlice(length: 1)))
                    try await server.until { $0.bytesIn >= byte }
                }
                let answers = try await (put, get)
                #expect(answers.0.status == 503)
                #expect((1...3).contains(answers.0.headers["retry-after"].flatMap { Int($0) } ?? 0))
                #expect(answers.1.status == 503)
                try await connection.send(rest)
                #expect(try await connection.response()?.status == 201)
            }
            #expect(try await server.put(chunk).status == 201)
        }
    }

    /// Clients that promise bodies and do not send them hold half of the room at most: reading goes on, and other
    /// bodies get theirs once the first have stood still for half of the time in line.
    @Test func bodiesThatDoNotComeKeepNobodyOut() async throws {
        let limits = limits {
            $0.bytesInFlight = 4 << 20
            $0.waitTime = .seconds(100)
        }
        try await TestServer.run(limits: limits) { server async throws in
            let chunk = TestChunk(seed: 1)
            #expect(try await server.put(chunk).status == 201)
            let slow = TestChunk(seed: 2, length: ChunkLimits.sealedBytes)
            try await server.promise(slow, 4) { () async throws in
                #expect(try await server.get(chunk).body == chunk.bytes)
                async let put = server.put(TestChunk(seed: 3))
                try await server.until("layercache_waits_total", is: 1)
                server.time.advance(by: .seconds(60))
                #expect(try await put.status == 201)
                #expect(try await server.statistics().connections.timedOut > 0)
            }
        }
    }

    @Test func clientThatLeavesTheLineLeavesNoRoomTaken() async throws {
        try await TestServer.run(limits: limits { $0.bytesInFlight = 1 }) { server async throws in
            let slow = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            let head = "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 524288\r\n\r\n"
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send("PUT /v1/chunks/\(slow.id.hex) \(head)")
                #expect(try await connection.response()?.status == 100)
                for _ in 0..<5 {
                    try await RawConnection.open(server.port) { waiting async throws in
                        try await waiting.send("PUT /v1/chunks/\(slow.id.hex) \(head)")
                    }
                }
            }
            #expect(try await server.put(TestChunk(seed: 3)).status == 201)
            try await server.until { $0.bytesInFlight == 0 }
        }
    }
}

extension TestServer {
    /// Keeps `count` connections open whose PUT was welcomed and sends no body while `body` runs.
    func promise(_ chunk: TestChunk, _ count: Int, _ body: @escaping @Sendable () async throws -> Void) async throws {
        guard count > 0 else { return try await body() }
        let length = chunk.bytes.readableBytes
        let head = "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: \(length)\r\n\r\n"
        try await RawConnection.open(port) { connection async throws in
            try await connection.send("PUT /v1/chunks/\(chunk.id.hex) \(head)")
            #expect(try await connection.response()?.status == 100)
            try await promise(chunk, count - 1, body)
        }
    }
}
