import CacheCore
import CacheServer
import NIOCore
import TestSupport
import Testing

/// The contract of "L2 over HTTP" as a client that speaks HTTP correctly sees it.
struct ChunkContractTests {
    @Test(arguments: [0, 64 << 20]) func putGetAndHeadRoundTrip(memory: Int) async throws {
        try await TestServer.run(memory: memory) { server async throws in
            let chunk = TestChunk(seed: 1, length: ChunkLimits.sealedBytes)
            let missing = try await server.get(chunk)
            #expect(missing.status == 404)
            #expect(missing.headers["layercache-repair"] == nil)
            #expect(try await server.call("HEAD", server.url(chunk.id)).status == 404)
            #expect(try await server.put(chunk).status == 201)
            #expect(try await server.put(chunk).status == 200)
            let found = try await server.get(chunk)
            #expect(found.status == 200)
            #expect(found.body == chunk.bytes)
            let head = try await server.call("HEAD", server.url(chunk.id))
            #expect(head.status == 200)
            #expect(head.headers["content-length"] == "\(ChunkLimits.sealedBytes)")
            #expect(head.body.readableBytes == 0)
        }
    }

    @Test(arguments: [1, 31, 4_096, 65_519, 65_520, 65_521, 300_000, ChunkLimits.sealedBytes])
    func everySizeComesBack(length: Int) async throws {
        try await TestServer.run(memory: 0) { server async throws in
            let chunk = TestChunk(seed: UInt64(length), length: length)
            #expect(try await server.put(chunk).status == 201)
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    @Test func bodyThatIsNotTheIdIsRefusedAndNotStored() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1)
            let other = TestChunk(seed: 2)
            let reply = try await server.call("PUT", server.url(chunk.id), other.bytes)
            #expect(reply.status == 422)
            #expect(try await server.get(chunk).status == 404)
            #expect(try await server.get(other).status == 404)
            let statistics = try await server.statistics()
            #expect(statistics.puts.refused == 1)
            #expect(statistics.memory.chunks == 0)
            #expect(statistics.disk.chunks == 0)
        }
    }

    @Test func emptyAndZeroBodiesAreNoChunks() async throws {
        try await TestServer.run { server async throws in
            let empty = TestChunk(ByteBuffer())
            #expect(try await server.call("PUT", server.url(empty.id), ByteBuffer()).status == 400)
            #expect(try await server.call("PUT", server.url(empty.id), ByteBuffer(), chunked: true).status == 422)
            for length in [1, 4_096, ChunkLimits.sealedBytes] {
                let zero = TestChunk(ByteBuffer(repeating: 0, count: length))
                #expect(try await server.put(zero).status == 422)
                #expect(try await server.get(zero).status == 404)
            }
        }
    }

    @Test func bodyBeyondTheLimitIsRefused() async throws {
        try await TestServer.run { server async throws in
            let big = TestChunk(seed: 1, length: ChunkLimits.sealedBytes + 1)
            #expect(try await server.put(big).status == 413)
            #expect(try await server.call("PUT", server.url(big.id), big.bytes, chunked: true).status == 413)
            #expect(try await server.get(big).status == 404)
        }
    }

    @Test func chunkedPutIsTaken() async throws {
        try await TestServer.run { server async throws in
            let chunk = TestChunk(seed: 1)
            #expect(try await server.call("PUT", server.url(chunk.id), chunk.bytes, chunked: true).status == 201)
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    @Test func malformedTargetsAreRefused() async throws {
        try await TestServer.run { server async throws in
            let id = TestChunk(seed: 1).id.hex
            let names = [
                "", "x", String(id.dropLast()), id + "0", id.uppercased(), id + "/", "%2e%2e/stats", "../stats",
                "./\(id)",
                id + "?x=1", id + "?", "missing?", "%61" + id.dropFirst(), "/" + id,
            ]
            for name in names {
                for method in ["GET", "HEAD", "PUT"] {
                    let body = method == "PUT" ? ByteBuffer(string: "body") : nil
                    let reply = try await server.call(method, server.url("/v1/chunks/\(name)"), body)
                    #expect(reply.status == 400, "\(method) \(name)")
                }
            }
        }
    }

    @Test func otherMethodsAreRefusedWithWhatIsAllowed() async throws {
        try await TestServer.run { server async throws in
            let id = TestChunk(seed: 1).id
            for method in ["DELETE", "POST", "PATCH", "OPTIONS"] {
                let reply = try await server.call(method, server.url(id))
                #expect(reply.status == 405)
                #expect(reply.headers["allow"] == "GET, HEAD, PUT")
            }
            let list = try await server.call("GET", server.url("/v1/chunks/missing"))
            #expect(list.status == 405)
            #expect(list.headers["allow"] == "POST")
            let control = try await server.call("DELETE", server.url("/v1/stats"))
            #expect(control.status == 405)
            #expect(control.headers["allow"] == "GET, HEAD")
        }
    }

    @Test func missingAnswersOneBitAnId() async throws {
        try await TestServer.run { server async throws in
            let chunks = (0..<19).map { TestChunk(seed: $0, length: 1_000) }
            for index in [0, 3, 8, 18] { #expect(try await server.put(chunks[index]).status == 201) }
            var body = ByteBuffer()
            for chunk in chunks { chunk.id.digest.withUnsafeBytes { _ = body.writeBytes($0) } }
            let reply = try await server.call("POST", server.url("/v1/chunks/missing"), body)
            #expect(reply.status == 200)
            #expect(Array(reply.body.readableBytesView) == [0b1111_0110, 0b1111_1110, 0b011])
            let none = try await server.call("POST", server.url("/v1/chunks/missing"), ByteBuffer())
            #expect(none.status == 200)
            #expect(none.body.readableBytes == 0)
        }
    }

    @Test func missingRefusesWhatIsNoListOrTooLong() async throws {
        try await TestServer.run { server async throws in
            let url = server.url("/v1/chunks/missing")
            #expect(try await server.call("POST", url, ByteBuffer(repeating: 7, count: 33)).status == 400)
            let most = try await server.call("POST", url, ByteBuffer(repeating: 7, count: 32 * 10_000))
            #expect(most.status == 200)
            #expect(most.body == ByteBuffer(repeating: 0xFF, count: 1_250))
            #expect(try await server.call("POST", url, ByteBuffer(repeating: 7, count: 32 * 10_001)).status == 413)
        }
    }

    @Test func manyClientsAtOnceGetTheirOwnBytes() async throws {
        try await TestServer.run(memory: 1 << 20, threads: 2) { server async throws in
            let chunks = (0..<24).map { TestChunk(seed: $0, length: 20_000 + Int($0) * 1_000) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for chunk in chunks {
                    group.addTask { () async throws in
                        #expect(try await server.put(chunk).status == 201)
                        for _ in 0..<4 { #expect(try await server.get(chunk).body == chunk.bytes) }
                    }
                }
                try await group.waitForAll()
            }
        }
    }
}
