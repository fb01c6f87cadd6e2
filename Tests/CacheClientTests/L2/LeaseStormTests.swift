import CacheCore
import CacheServer
import Foundation
import TestSupport
import Testing

@testable import CacheClient

/// Many workers that open one new image at once, above an L2 and an L3 that count.
@Suite struct LeaseStormTests {
    private static let workers = 32

    /// Reads all of the image with each of `caches` at once.
    private func storm(_ fixture: ClientFixture, _ content: [UInt8], _ url: String) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.workers {
                group.addTask {
                    try await fixture.withCache(l2: [url]) {
                        $0.threads = 2
                    } _: { cache in
                        let image = try await fixture.image(cache)
                        #expect(try await image.layers[0].collect() == content)
                        await cache.flush()
                        #expect(image.counts.l2Failures == 0)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(arguments: [1, 2]) func eachChunkIsReadOnceFromL3(threads: Int) async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(20 << 20)
        try await fixture.push(content)
        let chunks = try fixture.chunkFiles().count
        #expect(chunks >= 40)
        try await TestServer.run(threads: threads) { server async throws in
            let before = fixture.store.chunkReads
            try await storm(fixture, content, server.url)
            #expect(fixture.store.chunkReads - before == chunks)
            // Once more: all of it comes from L2.
            try await storm(fixture, content, server.url)
            #expect(fixture.store.chunkReads - before == chunks)
        }
    }

    /// Fewer connections than all workers would have: each gets by with its part, and nobody's is taken away.
    @Test func aDaemonOfFewConnectionsServesAll() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(8 << 20)
        try await fixture.push(content)
        let chunks = try fixture.chunkFiles().count
        var limits = ServerLimits()
        limits.connections = 5 * Self.workers
        try await TestServer.run(limits: limits) { server async throws in
            let before = fixture.store.chunkReads
            try await storm(fixture, content, server.url)
            #expect(fixture.store.chunkReads - before == chunks)
            let text = try await L2Statistics.fetch(from: server.url)
            let statistics = try JSONDecoder().decode(ServerStatistics.self, from: Data(text.utf8))
            #expect(statistics.connections.refused == 0)
            #expect(statistics.connections.accepted <= limits.connections)
            #expect(statistics.leases.refused == 0)
        }
    }

    /// Whose L3 fails gives the lease up, and the next in line fills.
    @Test func whoCannotFillLetsTheNextOneTry() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(400_000)
        try await fixture.push(content)
        let broken = FaultyObjectStore(fixture.store) { _, name, _ in
            if name.contains("/chunks/") { throw CacheError(.io, "injected failure of \(name)") }
        }
        // No lease ends with its time, which stands still.
        try await TestServer.run { server async throws in
            try await fixture.withCache(l2: [server.url]) {
                $0.l3 = broken
            } _: { first in
                let one = try await fixture.image(first)
                broken.set(.hanging)
                let failing = Task { await cacheError { _ = try await one.layers[0].collect() } }
                await broken.waitForReads(1)
                try await fixture.withCache(l2: [server.url]) { second in
                    async let waiting = fixture.readAll(second).bytes
                    try await eventually("a reader in line") { try await leases(server).waiting > 0 }
                    broken.set(.none)
                    let (error, bytes) = (await failing.value, try await waiting)
                    #expect(error?.code == .io)
                    #expect(bytes == content)
                }
            }
            let end = try await leases(server)
            #expect(end.givenUp >= 1 && end.waitsLeased >= 1 && end.expired == 0 && end.open == 0)
        }
    }

    private func leases(_ server: TestServer) async throws -> ServerStatistics.Leases {
        let text = try await L2Statistics.fetch(from: server.url)
        return try JSONDecoder().decode(ServerStatistics.self, from: Data(text.utf8)).leases
    }

    /// A reader that leaves while it holds leases does not keep the others waiting.
    @Test func aReaderThatIsCancelledGivesItsLeasesUp() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(4 << 20)
        try await fixture.push(content)
        try await TestServer.run { server async throws in
            try await fixture.withCache(l2: [server.url]) { cache in
                let image = try await fixture.image(cache)
                let reads = fixture.store.chunkReads
                fixture.store.set(.hanging)
                let reader = Task { try await image.layers[0].collect() }
                await fixture.store.waitForReads(reads + 4)
                #expect(try await leases(server).open >= 4)
                reader.cancel()
                fixture.store.set(.none)
                _ = await reader.result
                try await eventually("no lease") { try await leases(server).open == 0 }
            }
            #expect(try await leases(server).expired == 0)
            try await fixture.withCache(l2: [server.url]) { try await fixture.expect(content, from: $0) }
        }
    }

    /// A line keeps all connections of a worker: what waits behind it, and for how long, is no fault of L2.
    @Test func readsBehindALineDoNotAskL3() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(8 << 20)
        try await fixture.push(content)
        let chunks = try fixture.chunkFiles().count
        let clock = ManualClock()
        try await TestServer.run { server async throws in
            try await fixture.withCache(l2: [server.url]) { holder in
                let image = try await fixture.image(holder)
                let reads = fixture.store.chunkReads
                fixture.store.set(.hanging)
                let first = Task { try await image.layers[0].collect() }
                await fixture.store.waitForReads(reads + chunks)
                try await fixture.withCache(l2: [server.url], time: TimeSource(clock)) {
                    $0.l2Connections = 2
                    $0.l2Patience = .milliseconds(100)
                } _: { cache in
                    let image = try await fixture.image(cache)
                    async let second = image.layers[0].collect()
                    try await eventually("two readers in line") { try await leases(server).waiting == 2 }
                    // Far longer than an L2 that is ill would get.
                    for _ in 0..<30 {
                        clock.advance(by: .seconds(1))
                        #expect(try await leases(server).waiting == 2)
                    }
                    fixture.store.set(.none)
                    let results = [try await first.value, try await second]
                    #expect(results == [content, content])
                    #expect(image.counts.l2Failures == 0)
                    #expect(image.counts.l3.chunks == 0)
                }
                #expect(fixture.store.chunkReads - reads == chunks)
            }
        }
    }

    /// What does not come is waited for no longer than a bound in all.
    @Test func waitsInVainHaveABudget() {
        let clock = ManualClock()
        let time = TimeSource(clock)
        let budget = L2Budget(
            .milliseconds(400), L2Commons(inLine: .seconds(5), time: time), load: ReadLoad(time: time), time: time)
        #expect(budget.waitInLine(.seconds(5)) == .seconds(5))
        budget.waitedInVain(.seconds(4))
        #expect(budget.waitInLine(.seconds(5)) == .seconds(1))
        budget.waitedInVain(.seconds(4))
        #expect(budget.waitInLine(.seconds(5)) == .zero)
        clock.advance(by: .seconds(50))
        #expect(budget.waitInLine(.seconds(5)) == .seconds(2))
        // It is an account of its own, which a daemon that many fill at once uses up first.
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(400))
        #expect(budget.waitForEnd(isLeased: true) == .seconds(2))
        #expect(budget.waitForFill(isLeased: true) == .seconds(2))
        #expect(budget.wait(amongFills: false) == .milliseconds(200))
        #expect(budget.wait(amongFills: true) == .seconds(1))
        #expect(budget.waited(.milliseconds(3_100), spared: false, amongFills: true))
        #expect(budget.waitForEnd(isLeased: false) == .milliseconds(400))
        #expect(budget.waitInLine(.seconds(5)) == .zero)
        #expect(!budget.waited(.milliseconds(500), spared: false, amongFills: true))
        #expect(budget.waitForEnd(isLeased: false) == .zero)
    }
}
