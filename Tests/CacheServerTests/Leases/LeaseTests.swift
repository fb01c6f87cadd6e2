import CacheCore
import CacheServer
import NIOCore
import TestSupport
import Testing

/// Leases as clients see them: one fills, the others wait for the fill.
struct LeaseTests {
    private let chunk = TestChunk(seed: 1)

    private func wait(_ server: TestServer, seconds: Int = 3_600) async throws -> Reply {
        try await server.call("GET", server.url(chunk.id), headers: ["Prefer": "wait=\(seconds)"])
    }

    /// Runs `body` with a daemon that has given out the one lease of the chunk.
    private func withHolder(
        memory: Int = 64 << 20, threads: Int = 1, _ adjust: (inout ServerLimits) -> Void = { _ in },
        _ body: (TestServer, _ token: String) async throws -> Void
    ) async throws {
        var limits = ServerLimits()
        adjust(&limits)
        try await TestServer.run(memory: memory, threads: threads, limits: limits) { server async throws in
            let missing = try await server.get(chunk)
            #expect(missing.status == 404)
            try await body(server, try #require(missing.headers["layercache-lease"]))
        }
    }

    private func giveUp(_ server: TestServer, _ token: String) async throws -> Int {
        try await server.call("DELETE", server.url(chunk.id) + "/lease", headers: ["Layercache-Lease": token]).status
    }

    @Test(arguments: [0, 64 << 20], [1, 3]) func whoWaitsGetsTheFill(memory: Int, threads: Int) async throws {
        try await withHolder(memory: memory, threads: threads) { server, _ async throws in
            #expect(try await server.get(chunk).headers["layercache-lease"] == nil)
            try await withThrowingTaskGroup(of: Reply.self) { group in
                for _ in 0..<5 { group.addTask { try await wait(server) } }
                try await server.until { $0.leases.waiting == 5 }
                // Nothing of the budget is held meanwhile.
                #expect(try await server.statistics().bytesInFlight == 0)
                #expect(try await server.put(chunk).status == 201)
                for try await reply in group {
                    #expect(reply.status == 200)
                    #expect(reply.body == chunk.bytes)
                }
            }
            let leases = try await server.statistics().leases
            #expect(leases.given == 1 && leases.waits == 5 && leases.waitsFilled == 5 && leases.open == 0)
            #expect(try await server.statistics().misses == 2)
            #expect(try await server.metric("layercache_lease_waits_total{outcome=\"filled\"}") == 5)
        }
    }

    @Test func aDeadHoldersLeasePassesOn() async throws {
        try await withHolder { server, token async throws in
            async let waiting = wait(server)
            try await server.until { $0.leases.waiting == 1 }
            server.time.advance(by: .seconds(3))
            let next = try await waiting
            #expect(next.status == 404)
            let newToken = try #require(next.headers["layercache-lease"])
            #expect(newToken != token)
            let leases = try await server.statistics().leases
            #expect(leases.expired == 1 && leases.waitsLeased == 1 && leases.open == 1)
        }
    }

    @Test func aWaitHasAnEnd() async throws {
        try await withHolder({ $0.leaseTime = .seconds(3_600) }) { server, _ async throws in
            async let short = wait(server, seconds: 7)
            try await server.until { $0.leases.waiting == 1 }
            async let long = wait(server)
            try await server.until { $0.leases.waiting == 2 }
            server.time.advance(by: .seconds(7))
            let first = try await short
            #expect(first.status == 404 && first.headers["layercache-lease"] == nil)
            try await server.until { $0.leases.waiting == 1 }
            // The daemon's own bound.
            server.time.advance(by: .seconds(23))
            let second = try await long
            #expect(second.status == 404 && second.headers["layercache-lease"] == nil)
            let statistics = try await server.statistics()
            #expect(statistics.leases.waitsInVain == 2 && statistics.leases.open == 1)
            #expect(statistics.connections.timedOut == 0)
        }
    }

    @Test func tokensOfOthersChangeNothing() async throws {
        try await withHolder { server, token async throws in
            async let waiting = wait(server)
            try await server.until { $0.leases.waiting == 1 }
            for wrong in [String(repeating: "0", count: 32), "x", ""] {
                #expect(try await giveUp(server, wrong) == 404)
                let poison = try await server.call(
                    "PUT", server.url(chunk.id), TestChunk(seed: 9).bytes, headers: ["Layercache-Lease": wrong])
                #expect(poison.status == 422)
            }
            #expect(try await server.statistics().leases.waiting == 1)
            #expect(try await giveUp(server, token) == 200)
            let next = try await waiting
            #expect(next.headers["layercache-lease"] != nil)
            // One that has passed on is worth nothing any more.
            #expect(try await giveUp(server, token) == 404)
            #expect(try await server.statistics().leases.open == 1)
        }
    }

    @Test func aWrongBodyOfTheHolderPassesTheLeaseOn() async throws {
        try await withHolder { server, token async throws in
            async let waiting = wait(server)
            try await server.until { $0.leases.waiting == 1 }
            let poison = try await server.call(
                "PUT", server.url(chunk.id), TestChunk(seed: 9).bytes, headers: ["Layercache-Lease": token])
            #expect(poison.status == 422)
            let next = try await waiting
            #expect(next.headers["layercache-lease"] != nil)
        }
    }

    @Test(arguments: [true, false]) func whoLeavesIsOutOfTheLine(withAReset: Bool) async throws {
        try await withHolder { server, _ async throws in
            let request =
                "GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\nPrefer: wait=3600, processing\r\n\r\n"
            if withAReset {
                let client = try ClientThatVanishes(server.port)
                try client.send(request)
                #expect(client.hears("HTTP/1.1 102 Processing\r\n\r\n"))
                client.vanish()
            } else {
                try await RawConnection.open(server.port) { connection async throws in
                    try await connection.send(request)
                    try await server.until { $0.leases.waiting == 1 }
                }
            }
            try await server.until { $0.leases.waiting == 0 && $0.leases.waitsInVain == 1 }
            #expect(try await server.statistics().leases.open == 1)
        }
    }

    /// As a worker that is killed: its connections end at once.
    @Test func theLeaseOfAConnectionThatEndsPassesOn() async throws {
        try await TestServer.run { server async throws in
            let holder = try ClientThatVanishes(server.port)
            try holder.send("GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(holder.hears("HTTP/1.1 404 Not Found\r\n"))
            async let waiting = wait(server)
            try await server.until { $0.leases.waiting == 1 }
            holder.vanish()
            let next = try await waiting
            #expect(next.headers["layercache-lease"] != nil)
            let leases = try await server.statistics().leases
            #expect(leases.givenUp == 1 && leases.expired == 0)
        }
    }

    @Test func beyondTheBoundsThereIsABare404() async throws {
        try await withHolder({ $0.leaseWaiters.perChunk = 1 }) { server, _ async throws in
            async let waiting = wait(server)
            try await server.until { $0.leases.waiting == 1 }
            let refused = try await wait(server)
            #expect(refused.status == 404 && refused.headers["layercache-lease"] == nil)
            #expect(try await server.statistics().leases.refused == 1)
            #expect(try await server.put(chunk).status == 201)
            let filled = try await waiting
            #expect(filled.status == 200)
        }
    }

    /// A field in an answer's head, one that announces it included.
    private func share(_ response: RawConnection.Response?) throws -> String? {
        try #require(response).head.split(separator: "\r\n").lazy
            .compactMap { line in
                line.hasPrefix("Layercache-Connections: ") ? String(line.dropFirst(24)) : nil
            }.first
    }

    private func request(by worker: Int, _ id: ChunkID? = nil, wait: String = "wait=0") -> String {
        let name = String(repeating: "\(worker)", count: 32)
        return "GET /v1/chunks/\((id ?? chunk.id).hex) HTTP/1.1\r\nHost: x\r\nPrefer: \(wait)\r\n"
            + "Layercache-Worker: \(name)\r\n\r\n"
    }

    /// By the first answer of each connection, and whenever it has changed.
    @Test(arguments: [1, 2]) func workersAreToldHowManyConnectionsAreTheirs(threads: Int) async throws {
        var limits = ServerLimits()
        limits.connections = 32
        try await TestServer.run(threads: threads, limits: limits) { server async throws in
            #expect(try await server.put(chunk).status == 201)
            try await RawConnection.open(server.port) { first async throws in
                try await first.send(request(by: 1))
                #expect(try share(try await first.response()) == "24")
                // Once, to each connection.
                try await first.send(request(by: 1))
                #expect(try share(try await first.response()) == nil)
                try await RawConnection.open(server.port) { second async throws in
                    try await second.send(request(by: 2))
                    #expect(try share(try await second.response()) == "12")
                    // Who says nothing is no worker.
                    try await second.send("GET /v1/chunks/\(chunk.id.hex) HTTP/1.1\r\nHost: x\r\n\r\n")
                    #expect(try share(try await second.response()) == nil)
                    try await first.send(request(by: 1))
                    #expect(try share(try await first.response()) == "12")
                    // Who is to wait is told at once.
                    let absent = TestChunk(seed: 77)
                    try await RawConnection.open(server.port) { third async throws in
                        try await third.send(request(by: 3, absent.id, wait: "wait=9"))
                        #expect(try share(try await third.response()) == "8")
                        try await first.send(request(by: 1, absent.id, wait: "wait=9, processing"))
                        let announcement = try #require(try await first.response())
                        #expect(announcement.status == 102)
                        #expect(try share(announcement) == "8")
                        #expect(try await server.put(absent).status == 201)
                        #expect(try share(try await first.response()) == nil)
                    }
                }
                try await server.until { $0.connections.open <= 2 }
                try await first.send(request(by: 1))
                #expect(try share(try await first.response()) == "24")
            }
        }
        try await TestServer.run { server async throws in
            try await RawConnection.open(server.port) { only async throws in
                try await only.send(request(by: 1))
                #expect(try share(try await only.response()) == "64")
            }
        }
    }

    @Test func looksTakeNoLease() async throws {
        try await TestServer.run { server async throws in
            let look = try await server.call("GET", server.url(chunk.id), headers: ["Prefer": "wait=0"])
            #expect(look.status == 404 && look.headers["layercache-lease"] == nil)
            let head = try await server.call("HEAD", server.url(chunk.id), headers: ["Prefer": "wait=9"])
            #expect(head.status == 404 && head.headers["layercache-lease"] == nil)
            var ids = ByteBuffer()
            _ = chunk.id.digest.withUnsafeBytes { ids.writeBytes($0) }
            let missing = try await server.call(
                "POST", server.url("/v1/chunks/missing"), ids, headers: ["Prefer": "wait=9"])
            #expect(missing.status == 200)
            #expect(try await server.statistics().leases.given == 0)
            #expect(try await server.call("GET", server.url(chunk.id) + "/lease").status == 404)
            #expect(try await server.call("POST", server.url(chunk.id) + "/lease").status == 405)
        }
    }

    @Test func aDaemonThatStopsSendsWaitersAway() async throws {
        try await withHolder { server, _ async throws in
            async let waiting = wait(server)
            try await server.until { $0.leases.waiting == 1 }
            await server.stop()
            let reply = try await waiting
            #expect(reply.status == 404)
        }
    }

    /// Whoever's chunk it is: a PUT is valid by its hash.
    @Test func whoMissedJustBeforeTheFillLooksAgain() async throws {
        let chunks = (0..<200).map { TestChunk(seed: UInt64(100 + $0), length: 4_096) }
        try await TestServer.run(memory: 0, threads: 2) { server async throws in
            for chunk in chunks {
                async let put = server.put(chunk)
                async let first = server.get(chunk)
                async let second = server.get(chunk)
                let misses = [try await first, try await second].filter { $0.status == 404 }
                let stored = try await put
                #expect(stored.status == 201)
                // At most one lease for each chunk, and none once it is here.
                #expect(misses.count { $0.headers["layercache-lease"] != nil } <= 1)
                #expect(try await server.get(chunk).status == 200)
            }
            #expect(try await server.statistics().leases.open == 0)
        }
    }
}
