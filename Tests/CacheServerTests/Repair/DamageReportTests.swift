import CacheCore
import CacheServer
import NIOCore
import TestSupport
import Testing

/// What clients say of damage is looked into, and never believed.
@Suite(.timeLimit(.minutes(10)))
struct DamageReportTests {
    private let chunk = TestChunk(seed: 1, length: 200_000)
    private let other = TestChunk(seed: 2, length: 200_000)

    /// Without memory, and with it: then the damaged bytes are in memory, too, once they were read.
    @Test(arguments: [0, 64 << 20]) func damageIsDroppedAndRepaired(memory: Int) async throws {
        let directory = try TemporaryDirectory()
        try await TestServer.run(in: directory.path, memory: 0) { server async throws in
            for chunk in [chunk, other] { #expect(try await server.put(chunk).status == 201) }
        }
        try StoreDamage.flip(chunk, in: directory.path)
        try await TestServer.run(in: directory.path, memory: memory) { server async throws in
            // The daemon sends what it has; who asked for it by its hash finds out.
            for _ in 0..<2 {
                let damaged = try await server.get(chunk)
                #expect(damaged.status == 200)
                #expect(damaged.body != chunk.bytes)
            }
            let verdict = try await server.report(chunk)
            #expect(verdict.status == 200, "\(verdict.text)")
            #expect(try await server.get(chunk).status == 404)
            #expect(try await server.report(chunk).status == 404)
            #expect(try await server.put(chunk).status == 201)
            for _ in 0..<2 { #expect(try await server.get(chunk).body == chunk.bytes) }
            #expect(try await server.get(other).body == other.bytes)
            let numbers = try await server.statistics()
            #expect(numbers.repairs == 1)
            #expect(numbers.reports.received == 2)
            #expect(numbers.reports.dropped == 1)
            #expect(try await server.metric("layercache_chunk_repairs_total{by=\"report\"}") == 1)
        }
        try await TestServer.run(in: directory.path) { server async throws in
            #expect(try await server.get(chunk).body == chunk.bytes)
        }
    }

    /// A client of an earlier version reports nothing, and puts what it has from L3.
    @Test func rightBytesTakeThePlaceOfDamagedOnesInMemory() async throws {
        let directory = try TemporaryDirectory()
        try await TestServer.run(in: directory.path, memory: 0) { server async throws in
            #expect(try await server.put(chunk).status == 201)
        }
        try StoreDamage.flip(chunk, in: directory.path)
        try await TestServer.run(in: directory.path) { server async throws in
            #expect(try await server.get(chunk).body != chunk.bytes)
            #expect(try await server.put(chunk).status == 200)
            #expect(try await server.get(chunk).body == chunk.bytes)
            #expect(try await server.statistics().memory.chunks == 1)
        }
    }

    @Test(arguments: [0, 64 << 20]) func falseReportChangesNothing(memory: Int) async throws {
        try await TestServer.run(memory: memory) { server async throws in
            for chunk in [chunk, other] { #expect(try await server.put(chunk).status == 201) }
            for round in 1...20 {
                #expect(try await server.report(chunk).status == 409)
                #expect(try await server.get(chunk).body == chunk.bytes)
                let numbers = try await server.statistics()
                #expect(numbers.reports.received == round)
                // One look for all of them.
                #expect(numbers.reports.sound == 1)
                #expect(numbers.repairs == 0)
                #expect(numbers.disk.chunks == 2)
            }
            // What was sound a while ago may be damaged now.
            server.time.advance(by: .seconds(11))
            #expect(try await server.report(chunk).status == 409)
            #expect(try await server.statistics().reports.sound == 2)
        }
    }

    @Test func floodOfFalseReportsIsRefused() async throws {
        let chunks = (100..<200 as Range<UInt64>).map { TestChunk(seed: $0, length: 2_000) }
        try await TestServer.run(memory: 0) { server async throws in
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
            var statuses: [Int: Int] = [:]
            for chunk in chunks {
                let reply = try await server.report(chunk)
                statuses[reply.status, default: 0] += 1
                if reply.status == 429 { #expect(["1", "2", "3"].contains(reply.headers["retry-after"])) }
            }
            #expect(statuses == [409: 64, 429: 36])
            #expect(try await server.statistics().reports.refused == 36)
            for chunk in chunks { #expect(try await server.get(chunk).body == chunk.bytes) }
            server.time.advance(by: .seconds(1))
            for (number, chunk) in chunks.suffix(17).enumerated() {
                #expect(try await server.report(chunk).status == (number < 16 ? 409 : 429))
            }
        }
    }

    /// Many clients that meet one damaged chunk at the same time; real damage is never refused.
    @Test func manyReportsOfManyDamagedChunks() async throws {
        let chunks = (0..<80 as Range<UInt64>).map { TestChunk(seed: $0, length: 3_000) }
        try await TestServer.run(memory: 0, threads: 2) { server async throws in
            for chunk in chunks {
                #expect(try await server.put(chunk).status == 201)
                try server.damage(chunk)
            }
            for chunk in chunks {
                let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<4 { group.addTask { try await server.report(chunk).status } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(statuses.contains(200))
                #expect(statuses.allSatisfy { $0 == 200 || $0 == 404 }, "\(statuses)")
            }
            let numbers = try await server.statistics()
            #expect(numbers.repairs == chunks.count)
            #expect(numbers.reports.refused == 0)
            for chunk in chunks { #expect(try await server.get(chunk).status == 404) }
        }
    }

    @Test func reportIsAPostWithoutABody() async throws {
        try await TestServer.run { server async throws in
            let path = server.url(chunk.id) + "/damaged"
            let reply = try await server.call("GET", path)
            #expect(reply.status == 405)
            #expect(reply.headers["allow"] == "POST")
            #expect(try await server.call("POST", path, chunk.bytes).status == 400)
            #expect(try await server.call("POST", server.url("/v1/chunks/nonsense/damaged")).status == 400)
        }
    }
}
