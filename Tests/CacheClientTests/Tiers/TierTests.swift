import CacheClient
import CacheCore
import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

/// Which tier answers, what fills which, and what happens to damage in each.
@Suite(.timeLimit(.minutes(10))) struct TierTests {
    private let fixture: ClientFixture
    /// Three whole chunks and a tail, none of which compresses, and a zero chunk.
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(3 << 19) + [UInt8](repeating: 0, count: 1 << 19) + fixture.bytes(7777)
    }

    @Test func tiersAreAskedFromTheNearest() async throws {
        try await fixture.push(content)
        let l1 = fixture("l1")
        try await fixture.withDaemon { url in
            try await fixture.withCache(l1: l1, l2: [url]) { cache in
                let cold = try await fixture.expect(content, from: cache)
                #expect(cold.l3.chunks == 4)
                #expect(cold.zeroChunks == 1)
                #expect(cold.l1.chunks + cold.l2.chunks + cold.memory.chunks == 0)
                let warm = try await fixture.expect(content, from: cache)
                #expect(warm.memory.chunks == 4)
            }
            try await fixture.withCache(l1: l1, l2: [url]) { cache in
                let again = try await fixture.expect(content, from: cache)
                #expect(again.l1.chunks == 4)
                #expect(again.l3.chunks == 0)
            }
            try await fixture.withCache(l1: fixture("other"), l2: [url]) { cache in
                let other = try await fixture.expect(content, from: cache)
                #expect(other.l2.chunks == 4)
                #expect(other.l3.chunks == 0)
                #expect(other.l2.bytes == other.l2.chunks * (1 << 19) - ((1 << 19) - 7777))
                #expect(cache.counts == other)
            }
        }
        try await fixture.withCache(l1: fixture("other")) { cache in
            let filled = try await fixture.expect(content, from: cache)
            #expect(filled.l1.chunks == 4)
        }
    }

    @Test func damageInL1IsDroppedAndFilledAgain() async throws {
        try await fixture.push(content)
        let l1 = fixture("l1")
        try await fixture.withCache(l1: l1) { try await fixture.expect(content, from: $0) }
        #expect(try await fixture.damage(l1) == 4)
        try await fixture.withCache(l1: l1) { cache in
            let repaired = try await fixture.expect(content, from: cache)
            #expect(repaired.repairedL1 == 4)
            #expect(repaired.l3.chunks == 4)
            #expect(repaired.l1.chunks == 0)
        }
        try await fixture.withCache(l1: l1) { cache in
            let healed = try await fixture.expect(content, from: cache)
            #expect(healed.l1.chunks == 4)
            #expect(healed.repairedL1 == 0)
        }
    }

    @Test func damageInL2IsReplacedFromL3() async throws {
        try await fixture.push(content)
        try await fixture.withDaemon { url in
            _ = try await fixture.withCache(l2: [url]) { try await fixture.readAll($0) }
        }
        #expect(try await fixture.damage(fixture("l2")) == 4)
        try await fixture.withDaemon { url in
            try await fixture.withCache(l2: [url]) { cache in
                let repaired = try await fixture.expect(content, from: cache)
                #expect(repaired.repairedL2 == 4)
                #expect(repaired.l3.chunks == 4)
            }
            try await fixture.withCache(l2: [url]) { cache in
                let healed = try await fixture.expect(content, from: cache)
                #expect(healed.l2.chunks == 4)
                #expect(healed.repairedL2 == 0)
            }
        }
    }

    @Test(arguments: [FaultyObjectStore.Fault.corrupting, .truncating, .losing])
    func damageInL3NamesTheObject(_ fault: FaultyObjectStore.Fault) async throws {
        try await fixture.push(content)
        fixture.store.set(fault)
        let error = try await fixture.withCache(l1: fixture("l1")) { cache in
            let error = await cacheError { _ = try await fixture.readAll(cache) }
            // An error goes to the readers that waited for it, and is not kept for later ones.
            fixture.store.set(.none)
            try await fixture.expect(content, from: cache)
            return error
        }
        #expect(error?.code == (fault == .losing ? .missing : .corrupt))
        #expect(error?.message.contains("/chunks/") == true)
        #expect(error?.message.contains("--repair") == true)
    }

    @Test func whatAFailedReadLeftBehindIsRight() async throws {
        try await fixture.push(content)
        fixture.store.set(.failing)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            #expect(await cacheError { _ = try await fixture.readAll(cache) }?.code == .io)
        }
        fixture.store.set(.none)
        try await fixture.withCache(l1: fixture("l1")) { try await fixture.expect(content, from: $0) }
    }

    /// Smaller than the image: reads go on, and nothing is kept beyond the capacity.
    @Test func smallCachesDoNotStopReads() async throws {
        let large = fixture.bytes(24 << 20)
        try await fixture.push(large)
        try await fixture.withCache(l1: fixture("l1"), memory: 1 << 20) {
            $0.l1Capacity = 8 << 20
            $0.fillBytes = 1 << 20
        } _: { cache in
            for _ in 0..<2 { try await fixture.expect(large, from: cache) }
            let size = try FileManager.default.attributesOfItem(atPath: fixture("l1/data.mdb"))[.size] as? Int
            #expect(try #require(size) <= 8 << 20)
        }
    }

    @Test func directoryThatIsNoneIsAnErrorAtOpen() async throws {
        try Data().write(to: URL(fileURLWithPath: fixture("file")))
        for path in [fixture("file"), fixture("file/below")] {
            let error = await cacheError { try await fixture.withCache(l1: path) { _ in } }
            #expect(error?.message.contains(path) == true)
            #expect(error?.message.contains("another directory") == true)
        }
    }

    @Test func oneDirectoryHasOneCacheInAProcess() async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            #expect(await cacheError { try await fixture.withCache(l1: fixture("l1")) { _ in } }?.code == .conflict)
            try await fixture.expect(content, from: cache)
        }
        // Several with directories of their own share nothing but L3.
        try await fixture.withCache(l1: fixture("l1")) { first in
            try await fixture.withCache(l1: fixture("second")) { second in
                async let one = fixture.readAll(first)
                async let two = fixture.readAll(second)
                let results = try await (one, two)
                #expect(results.0.bytes == content)
                #expect(results.1.bytes == content)
                #expect(results.0.counts.l1.chunks == 4)
                #expect(results.1.counts.l3.chunks == 4)
            }
        }
    }

    @Test func wrongAddressesOfL2AreRefused() async throws {
        for url in [
            "localhost:7070", "ftp://l2", "http://", "http://:7070", "http://host:port", "http://l2/path",
            "http://l2:70707",
        ] {
            #expect(
                await cacheError { try await fixture.withCache(l2: [url]) { _ in } }?.code == .invalidInput, "\(url)")
        }
    }
}
