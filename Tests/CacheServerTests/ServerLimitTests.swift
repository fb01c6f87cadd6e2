import CacheCore
import CacheServer
import NIOCore
import Synchronization
import Testing

/// Each limit with a small value: who goes beyond gets what the limit's documentation says, and others are served.
struct ServerLimitTests {
    private func limits(_ change: (inout ServerLimits) -> Void) -> ServerLimits {
        var limits = ServerLimits()
        change(&limits)
        return limits
    }

    @Test(arguments: ["GET /healthz HT", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-", "\r\n"])
    func slowHeadGets408(beginning: String) async throws {
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(2) }) { server async throws in
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(beginning)
                #expect(try await connection.response()?.status == 408)
                #expect(try await connection.isClosed())
            }
            #expect(try await server.statistics().connections.timedOut > 0)
        }
    }

    @Test func slowHeadBehindARequestGets408() async throws {
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(2) }) { server async throws in
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
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(2) }) { server async throws in
            let chunk = TestChunk(seed: 1, length: 1_000)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
                try await connection.send(chunk.bytes.getSlice(at: 0, length: 999) ?? ByteBuffer())
                #expect(try await connection.response()?.status == 408)
                #expect(try await connection.isClosed())
            }
            #expect(try await server.get(chunk).status == 404)
            #expect(try await server.statistics().bytesInFlight == 0)
        }
    }

    @Test func idleConnectionIsClosedWithoutAWord() async throws {
        try await TestServer.run(limits: limits { $0.idleTime = .seconds(2) }) { server async throws in
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
        try await TestServer.run(limits: limits { $0.requestTime = .seconds(8) }) { server async throws in
            let chunk = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port, receiveBuffer: 4_096) { connection async throws in
                let request = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n"
                try await connection.send(String(repeating: request, count: 40))
                // Nothing is read here until the daemon has given up on this connection.
                while try await server.statistics().connections.timedOut == 0 { await Task.yield() }
                while try await server.statistics().bytesInFlight > 0 { await Task.yield() }
            }
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    /// A client may be gone at any moment, also in the one in which its answer is written: what it held is given back then.
    @Test(.timeLimit(.minutes(2))) func clientsThatVanishLeaveNoRoomTaken() async throws {
        try await TestServer.run(memory: 0) { server async throws in
            let chunks = (0..<8).map { TestChunk(seed: $0, length: ChunkLimits.sealedBytes) }
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
            var random = SplitMix(state: 1)
            for _ in 0..<300 {
                let clients = try chunks.map { chunk in
                    let client = try ClientThatVanishes(server.port)
                    try client.send("GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n")
                    return client
                }
                // Before, while and after the answers are written.
                try await Task.sleep(for: .microseconds(random.next() % 2_000))
                for client in clients { client.vanish() }
            }
            let chunk = chunks[0]
            while try await server.statistics().bytesInFlight > 0 { await Task.yield() }
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    @Test func connectionsBeyondTheLimitAreToldSo() async throws {
        let limit = 40
        try await TestServer.run(limits: limits { $0.connections = limit }) { server async throws in
            try await hold(limit, server.port) {
                try await RawConnection.open(server.port) { connection async throws in
                    let refusal = try #require(try await connection.response())
                    #expect(refusal.status == 503)
                    #expect(refusal.head.contains("Retry-After: 1"))
                    #expect(try await connection.isClosed())
                }
            }
        }
    }

    /// Keeps `count` connections open and served while `body` runs.
    private func hold(_ count: Int, _ port: Int, _ body: @escaping @Sendable () async throws -> Void) async throws {
        guard count > 0 else { return try await body() }
        try await RawConnection.open(port) { connection async throws in
            try await connection.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(try await connection.response()?.status == 200)
            try await hold(count - 1, port, body)
        }
    }

    @Test func thousandConnectionsAreServedOrRefused() async throws {
        try await TestServer.run(limits: limits { $0.connections = 100 }) { server async throws in
            let chunk = TestChunk(seed: 1, length: 10_000)
            #expect(try await server.put(chunk).status == 201)
            let answers = try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<1_000 {
                    group.addTask {
                        do {
                            return try await RawConnection.open(server.port) { connection async throws in
                                try await connection.send(
                                    "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                                return try await connection.response()?.status
                            }
                        } catch is IOError {
                            return nil
                        }
                    }
                }
                return try await group.reduce(into: [Int?: Int]()) { $0[$1, default: 0] += 1 }
            }
            #expect(answers[200, default: 0] >= 50)
            #expect(answers.keys.allSatisfy { $0 == 200 || $0 == 503 || $0 == nil })
            while try await server.statistics().connections.open > 10 { await Task.yield() }
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    @Test func putsBeyondTheBytesInFlightWaitTheirTurn() async throws {
        // Room for one body: the others stand in line, and all are stored.
        try await TestServer.run(
            limits: limits {
                $0.bytesInFlight = 1
                $0.waitTime = .seconds(60)
                $0.requestTime = .seconds(90)
            }
        ) { server async throws in
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
            $0.waitTime = .seconds(4)
            $0.requestTime = .seconds(60)
        }
        try await TestServer.run(limits: small) { server async throws in
            let slow = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            let chunk = TestChunk(seed: 2)
            try await RawConnection.open(server.port) { connection async throws in
                try await connection.send(
                    "PUT /v1/chunks/\(slow.id.hex) HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 524288\r\n\r\n"
                )
                #expect(try await connection.response()?.status == 100)
                // A body that goes on coming keeps its room, however slow it is.
                let refused = Task { (try await server.put(chunk), try await server.get(chunk)) }
                let isOver = Atomic(false)
                let watcher = Task {
                    _ = await refused.result
                    isOver.store(true, ordering: .relaxed)
                }
                var rest = slow.bytes
                while !isOver.load(ordering: .relaxed) {
                    try await connection.send(try #require(rest.readSlice(length: 1)))
                    #expect(try await server.call("GET", server.url("/healthz")).status == 200)
                }
                await watcher.value
                let (put, get) = try await refused.value
                #expect(put.status == 503 && put.headers["retry-after"] == "1")
                #expect(get.status == 503)
                try await connection.send(rest)
                #expect(try await connection.response()?.status == 201)
            }
            #expect(try await server.put(chunk).status == 201)
        }
    }

    /// Clients that promise bodies and do not send them hold half of the room at most: reading goes on, and other bodies get theirs
    /// once the first have stood still for half of the time in line.
    @Test func bodiesThatDoNotComeKeepNobodyOut() async throws {
        let limits = limits {
            $0.bytesInFlight = 4 << 20
            $0.waitTime = .seconds(20)
            $0.requestTime = .seconds(60)
        }
        try await TestServer.run(limits: limits) { server async throws in
            let chunk = TestChunk(seed: 1)
            #expect(try await server.put(chunk).status == 201)
            let slow = TestChunk(seed: 2, length: ChunkLimits.sealedBytes)
            try await promise(slow, 4, server.port) { () async throws in
                #expect(try await server.get(chunk).body == chunk.bytes)
                #expect(try await server.put(TestChunk(seed: 3)).status == 201)
                #expect(try await server.statistics().connections.timedOut > 0)
            }
        }
    }

    /// Keeps `count` connections open whose PUT was welcomed and sends no body while `body` runs.
    private func promise(
        _ chunk: TestChunk, _ count: Int, _ port: Int, _ body: @escaping @Sendable () async throws -> Void
    ) async throws {
        guard count > 0 else { return try await body() }
        let head = "HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 524288\r\n\r\n"
        try await RawConnection.open(port) { connection async throws in
            try await connection.send("PUT /v1/chunks/\(chunk.id.hex) \(head)")
            #expect(try await connection.response()?.status == 100)
            try await promise(chunk, count - 1, port, body)
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
            while try await server.statistics().bytesInFlight > 0 { await Task.yield() }
        }
    }
}
