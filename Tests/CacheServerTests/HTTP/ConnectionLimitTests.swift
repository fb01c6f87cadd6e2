import CacheCore
import CacheServer
import NIOCore
import NIOPosix
import TestSupport
import Testing

/// Who has a connection when there are more clients than connections.
@Suite(.timeLimit(.minutes(10)))
struct ConnectionLimitTests {
    private func limits(_ connections: Int) -> ServerLimits {
        var limits = ServerLimits()
        limits.connections = connections
        limits.idleTime = .seconds(1 << 20)
        limits.requestTime = .seconds(1 << 20)
        limits.waitTime = .seconds(100)
        return limits
    }

    /// One request on a connection of its own: the status; `nil` if the daemon closes it instead.
    private func ask(_ path: String, _ server: TestServer) async throws -> Int? {
        try await RawConnection.open(server.port) { connection async throws in
            try await connection.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
            return try await connection.response()?.status
        }
    }

    private let chunkPath = "/v1/chunks/\(TestChunk(seed: 7).id.hex)"

    @Test func idleConnectionsGiveWayTheLongestIdleFirst() async throws {
        try await TestServer.run(limits: limits(2)) { server async throws in
            let request = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            try await RawConnection.open(server.port) { first async throws in
                try await first.send(request)
                #expect(try await first.response()?.status == 200)
                try await RawConnection.open(server.port) { second async throws in
                    try await second.send(request)
                    #expect(try await second.response()?.status == 200)
                    try await first.send(request)
                    #expect(try await first.response()?.status == 200)
                    // Clients that came a moment ago do not give way to those that come.
                    #expect(try await ask(chunkPath, server) == 503)
                    server.time.advance(by: .seconds(1))
                    #expect(try await ask(chunkPath, server) == 404)
                    #expect(try await second.isClosed())
                    try await first.send(request)
                    #expect(try await first.response()?.status == 200)
                }
            }
            #expect(try await server.metric("layercache_connections_evicted_total") ?? 0 >= 1)
        }
    }

    @Test(arguments: [1, 2]) func idleConnectionsKeepNobodyOut(threads: Int) async throws {
        try await TestServer.run(threads: threads, limits: limits(10)) { server async throws in
            let idle = try (0..<10).map { _ in try ClientThatVanishes(server.port) }
            defer { for client in idle { client.vanish() } }
            for client in idle { try client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") }
            // Not on a thread of the cooperative pool, which the daemon needs to answer.
            let areServed = try await NIOThreadPool.singleton.runIfActive {
                idle.allSatisfy { $0.hears("HTTP/1.1 200 OK") }
            }
            #expect(areServed)
            server.time.advance(by: .seconds(1))
            for _ in 0..<10 {
                for path in ["/healthz", "/readyz", "/metrics", "/v1/stats"] {
                    #expect(try await ask(path, server) == 200)
                }
                #expect(try await ask(chunkPath, server) == 404)
            }
        }
    }

    /// What thousands of clients send that want to keep others out: nothing, or the beginning of a head.
    @Test(arguments: ["", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-"]) func unfinishedHeadsKeepNobodyOut(
        beginning: String
    ) async throws {
        try await TestServer.run(limits: limits(20)) { server async throws in
            var flood: [ClientThatVanishes] = []
            defer { for client in flood { client.vanish() } }
            for _ in 0..<20 {
                for _ in 0..<10 {
                    let client = try ClientThatVanishes(server.port)
                    if !beginning.isEmpty { try? client.send(beginning) }
                    flood.append(client)
                }
                #expect(try await ask(chunkPath, server) == 404)
                #expect(try await ask("/readyz", server) == 200)
            }
        }
    }

    @Test func connectionsThatWorkStayAndProbesAreAnswered() async throws {
        let count = 12
        try await TestServer.run(limits: limits(count)) { server async throws in
            try await server.promise(TestChunk(seed: 1, length: 1_000), count) { () async throws in
                // More connections beyond the limit than may be there for probes, all silent.
                let silent = try (0..<40).map { _ in try ClientThatVanishes(server.port) }
                defer { for client in silent { client.vanish() } }
                for path in ["/healthz", "/readyz", "/metrics", "/v1/stats"] {
                    try await RawConnection.open(server.port) { connection async throws in
                        try await connection.send("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n")
                        let answer = try #require(try await connection.response())
                        #expect(answer.status == 200)
                        #expect(answer.head.contains("Connection: close"))
                        #expect(try await connection.isClosed())
                    }
                }
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.send("GET \(chunkPath) HTTP/1.1\r\nHost: x\r\n\r\n")
                    let refusal = try #require(try await connection.response())
                    #expect(refusal.status == 503)
                    #expect((1...3).contains { refusal.head.contains("Retry-After: \($0)\r\n") })
                    #expect(try await server.metric("layercache_shed_total{reason=\"connections\"}") == 1)
                    #expect(try await connection.isClosed())
                }
            }
        }
    }

    @Test func probeOnlyConnectionThatAsksNothingIsRefused() async throws {
        try await TestServer.run(limits: limits(2)) { server async throws in
            try await server.promise(TestChunk(seed: 1, length: 1_000), 2) { () async throws in
                async let _ = passProbes(server)
                try await RawConnection.open(server.port) { connection async throws in
                    #expect(try await connection.response()?.status == 503)
                    #expect(try await connection.isClosed())
                }
            }
        }
    }

    /// Lets time pass, with a probe after each second that comes as a connection beyond the limit.
    private func passProbes(_ server: TestServer) async {
        while !Task.isCancelled {
            server.time.advance(by: .seconds(1))
            _ = try? await ask("/healthz", server)
        }
    }

    /// Connections whose clients do not read are cut off once other clients find no free connection.
    @Test func readersThatDoNotReadGiveWay() async throws {
        try await TestServer.run(limits: limits(3)) { server async throws in
            let chunk = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            #expect(try await server.put(chunk).status == 201)
            let request = "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n"
            let readers = try (0..<3).map { _ in try ClientThatVanishes(server.port) }
            defer { for reader in readers { reader.vanish() } }
            // More than the kernel keeps for a reader that does not read.
            for reader in readers { try reader.send(String(repeating: request, count: 40)) }
            var status = try await ask(chunkPath, server)
            while status != 404 {
                #expect(status == 503)
                server.time.advance(by: .seconds(30))
                status = try await ask(chunkPath, server)
            }
        }
    }

    @Test func thousandConnectionsAreServedOrRefused() async throws {
        try await TestServer.run(limits: limits(100)) { server async throws in
            let chunk = TestChunk(seed: 1, length: 10_000)
            #expect(try await server.put(chunk).status == 201)
            let answers = await withTaskGroup(of: Int?.self) { group in
                for _ in 0..<1_000 {
                    group.addTask {
                        try? await RawConnection.open(server.port) { connection async throws in
                            try await connection.send(
                                "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                            return try await connection.response()?.status
                        }
                    }
                }
                return await group.reduce(into: [Int?: Int]()) { $0[$1, default: 0] += 1 }
            }
            #expect(answers[200, default: 0] >= 50)
            #expect(answers.keys.allSatisfy { $0 == 200 || $0 == 503 || $0 == nil })
            try await server.until { $0.connections.open <= 10 }
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }
}
