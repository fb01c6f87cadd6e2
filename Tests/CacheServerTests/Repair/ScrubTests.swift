import CacheCore
import CacheServer
import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import CacheServer

/// Damage that nobody reads is found, too, at a rate that an operator sets.
@Suite(.timeLimit(.minutes(10)))
struct ScrubTests {
    private let directory: TemporaryDirectory
    private let chunks = (0..<12 as Range<UInt64>).map { TestChunk(seed: $0, length: 200_000) }

    init() throws { directory = try TemporaryDirectory() }

    private func run<R>(
        rate: Int, memory: Int = 0, _ body: (TestServer) async throws -> R
    ) async throws -> R {
        try await TestServer.run(in: directory.path, memory: memory, scrub: rate, body)
    }

    @Test func damageIsFoundAndDropped() async throws {
        try await run(rate: 1 << 20) { server async throws in
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
            try server.damage(chunks[3])
            try server.damage(chunks[7])
            while try await server.statistics().scrub.passes == 0 { server.time.advance(by: .milliseconds(100)) }
            let numbers = try await server.statistics()
            #expect(numbers.scrub.damaged == 2)
            #expect(numbers.scrub.chunks == chunks.count)
            #expect(numbers.scrub.bytes >= 10 * 200_000)
            #expect(numbers.scrub.lastPass > 1_700_000_000)
            #expect(numbers.repairs == 2)
            // It counts as no use.
            #expect(numbers.disk.hits == 0)
            for (index, chunk) in chunks.enumerated() {
                let reply = try await server.get(chunk)
                if index == 3 || index == 7 { #expect(reply.status == 404) } else { #expect(reply.body == chunk.bytes) }
            }
            #expect(try await server.metric("layercache_chunk_repairs_total{by=\"scrub\"}") == 2)
        }
    }

    /// Damaged bytes that were read into memory, with a store that is damaged still, and with one that is right again.
    @Test(arguments: [false, true]) func damageInMemoryIsFound(isStoreRight: Bool) async throws {
        try await run(rate: 0) { server async throws in #expect(try await server.put(chunks[0]).status == 201) }
        let place = try StoreDamage.flip(chunks[0], in: directory.path)
        try await run(rate: 1 << 20, memory: 64 << 20) { server async throws in
            #expect(try await server.get(chunks[0]).body != chunks[0].bytes)
            if isStoreRight { try StoreDamage.flip(place, in: directory.path) }
            while try await server.statistics().scrub.passes == 0 { server.time.advance(by: .milliseconds(100)) }
            let reply = try await server.get(chunks[0])
            if isStoreRight { #expect(reply.body == chunks[0].bytes) } else { #expect(reply.status == 404) }
            #expect(try await server.statistics().repairs == 1)
        }
    }

    /// As time passes so many bytes are looked at, and what was looked at before a restart is not looked at again.
    @Test func rateIsKeptAndARestartGoesOn() async throws {
        try await run(rate: 0) { server async throws in
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
            server.time.advance(by: .seconds(3600))
            for _ in 0..<20 { #expect(try await server.statistics().scrub.chunks == 0) }
        }
        #expect(!FileManager.default.fileExists(atPath: directory("scrub")))
        // Each chunk is worth a second and a little more.
        let first = try await run(rate: 190_000) { server async throws in
            for second in 1...4 {
                server.time.advance(by: .seconds(1))
                try await server.until { $0.scrub.chunks == second }
            }
            let numbers = try await server.statistics().scrub
            #expect(numbers.chunks == 4)
            #expect(numbers.position > 0 && numbers.position < 1)
            return numbers
        }
        try await run(rate: 190_000) { server async throws in
            #expect(try await server.statistics().scrub.position == first.position)
            while try await server.statistics().scrub.passes == 0 {
                server.time.advance(by: .milliseconds(500))
            }
            #expect(try await server.statistics().scrub.chunks == 8)
            #expect(try await server.statistics().scrub.lastPass > 0)
            // The next pass comes after a rest.
            for _ in 0..<20 {
                server.time.advance(by: .seconds(10))
                #expect(try await server.statistics().scrub.chunks == 8)
            }
            server.time.advance(by: .seconds(601))
            try await server.until { $0.scrub.chunks > 8 }
        }
    }

    /// While clients get much from memory, a chunk counts eight times.
    @Test(arguments: [0, 900, 5_000]) func readsFromMemoryGoFirst(readsASecond: Int) async throws {
        try await run(rate: 0) { server async throws in
            for chunk in chunks { #expect(try await server.put(chunk).status == 201) }
        }
        let store = try ChunkStore.open(directory.path, options: .init(capacity: 1 << 30), logger: .quiet)
        let threads = NIOThreadPool(numberOfThreads: 1)
        threads.start()
        let start = NIODeadline.uptimeNanoseconds(1)
        // A second is worth a chunk, or an eighth of one.
        let scrubber = Scrubber(
            ChunkTiers(memory: MemoryTier(capacity: 0), store: store, threads: threads), directory: directory.path,
            rate: 200_000, from: start, logger: .quiet)
        let expected = readsASecond > 1_000 ? [1, 1, 1, 1, 1, 1, 1, 1, 2] : Array(1...9)
        for (index, count) in expected.enumerated() {
            scrubber.noteReads(readsASecond)
            let now = start + .seconds(Int64(index) + 1)
            repeat {
                scrubber.tick(at: now)
                await Task.yield()
            } while scrubber.progress.chunks < count
            #expect(scrubber.progress.chunks == count)
        }
        await scrubber.stop()
        await store.close()
        try await threads.shutdownGracefully()
    }

    @Test func placeOfAnotherVersionIsLeftAlone() async throws {
        let newer = "layercache-scrub 2 something else\n"
        try newer.write(toFile: directory("scrub"), atomically: true, encoding: .utf8)
        try await run(rate: 1 << 20) { server async throws in
            #expect(try await server.put(chunks[0]).status == 201)
            while try await server.statistics().scrub.passes == 0 { server.time.advance(by: .milliseconds(100)) }
        }
        #expect(try String(contentsOfFile: directory("scrub"), encoding: .utf8) == newer)
    }

    @Test(arguments: ["", "\n", "layercache-scrub 1", "noise", "layercache-scrub 1 zz 5\n"])
    func damagedPlaceIsTheBeginning(_ text: String) throws {
        try text.write(toFile: directory("scrub"), atomically: true, encoding: .utf8)
        #expect(try ScrubPlace.read(in: directory.path) == ScrubPlace())
        var place = ScrubPlace()
        place.last = chunks[0].id
        place.lastPass = 1_800_000_000
        try place.write(in: directory.path)
        #expect(try ScrubPlace.read(in: directory.path) == place)
    }
}
