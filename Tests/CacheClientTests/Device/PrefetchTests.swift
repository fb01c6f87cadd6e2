import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// What is fetched before anybody asks for it: in which order, beside whom, and where it goes.
@Suite(.timeLimit(.minutes(10))) struct PrefetchTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(16 << 19)
    }

    /// Chunks as L3 is asked for them.
    private func recorder() -> (store: FaultyObjectStore, asked: Begun) {
        let asked = Begun()
        let store = FaultyObjectStore(fixture.store) { call, name, moment in
            if moment == .before, call == "get", name.contains("/chunks/") { asked.add(name) }
        }
        return (store, asked)
    }

    private func setTrace(_ chunks: [UInt32]) async throws -> [String] {
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            try await cache.setTrace(ImageTrace(chunks: chunks, runs: 3), of: image)
            let layer = try #require(image.layers.first)
            return chunks.map {
                L3Layout.chunk(layer.manifest.data[Int($0)].id, in: layer.manifest.generation).rawValue
            }
        }
    }

    @Test func oneByOneInTheOrderOfTheTrace() async throws {
        try await fixture.push(content)
        let names = try await setTrace([9, 3, 12, 0, 15])
        let (store, asked) = recorder()
        try await fixture.withCache {
            $0.l3 = store
            $0.l3Concurrency = 1
        } _: { cache in
            let device = try await fixture.device(cache, DeviceOptions())
            await device.prefetched()
            #expect(asked.names == names)
            #expect(device.statistics.prefetch == .init(chunks: 5, used: 0))
            await device.close()
        }
    }

    @Test func allMeansTheTraceThenTheRest() async throws {
        try await fixture.push(content)
        let names = try await setTrace([9, 3])
        let rest = try await setTrace([0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15])
        _ = try await setTrace([9, 3])
        let (store, asked) = recorder()
        try await fixture.withCache(l1: fixture("l1")) {
            $0.l3 = store
            $0.l3Concurrency = 1
        } _: { cache in
            let device = try await fixture.device(cache, DeviceOptions(prefetch: .all))
            await device.prefetched()
            #expect(asked.names == names + rest)
            await device.close()
        }
    }

    @Test func noneMeansNothing() async throws {
        try await fixture.push(content)
        _ = try await setTrace([9, 3])
        let (store, asked) = recorder()
        try await fixture.withCache {
            $0.l3 = store
        } _: { cache in
            let device = try await fixture.device(cache, DeviceOptions(prefetch: .none))
            await device.prefetched()
            #expect(asked.names == [])
            await device.close()
        }
    }

    /// A trace larger than memory goes to L1, and what was read before stays in memory.
    @Test func memoryIsForThoseWhoRead() async throws {
        try await fixture.push(content)
        _ = try await setTrace(Array(0..<16))
        try await fixture.withCache(l1: fixture("l1"), memory: 4 << 20) { cache in
            let device = try await fixture.device(cache, DeviceOptions())
            await device.prefetched()
            #expect(device.statistics.prefetch.chunks == 16)
            #expect(cache.memoryUsage.bytes <= 2 << 20)
            await cache.flush()
            #expect(cache.l1Statistics?.chunks ?? 0 >= 16)
            let found = try await device.bytes(0, content.count)
            #expect(found == content)
            #expect(device.statistics.prefetch.used == 16)
            #expect(device.statistics.tiers.l3.chunks == 16)
            await device.close()
        }
        // There already: nothing is fetched, and nothing counted, but for what goes to memory.
        try await fixture.withCache(l1: fixture("l1"), memory: 4 << 20) { cache in
            let device = try await fixture.device(cache, DeviceOptions())
            await device.prefetched()
            #expect(device.statistics.prefetch.chunks == 4)
            #expect(device.statistics.tiers.l3.chunks == 0)
            await device.close()
        }
    }

    /// While a read waits for L3, nothing is begun for nobody.
    @Test func demandGoesFirst() async throws {
        try await fixture.push(content)
        let names = try await setTrace([1, 2, 3])
        let (store, asked) = recorder()
        let clock = ManualClock()
        try await fixture.withCache(time: TimeSource(clock)) {
            $0.l3 = store
        } _: { cache in
            let image = try await fixture.image(cache)
            let before = fixture.store.chunkReads
            fixture.store.set(.hanging)
            let reader = try await cache.device(of: image, .quiet)
            async let read = reader.read(at: 9 << 19, count: 512)
            await fixture.store.waitForReads(before + 1)
            let device = try await cache.device(of: image, DeviceOptions())
            try await eventually("standing back") { cache.reader.load.demand.standingBack == 1 }
            #expect(asked.names.count == 1)
            fixture.store.set(.none)
            _ = try await read
            await device.prefetched()
            #expect(Set(asked.names.dropFirst()) == Set(names))
            await device.close()
        }
    }

    /// L3 is gone: it is not asked for a whole trace in vain.
    @Test func endsWhereNothingIsToBeHad() async throws {
        try await fixture.push(content)
        _ = try await setTrace(Array(0..<16))
        let (store, asked) = recorder()
        try await fixture.withCache {
            $0.l3 = store
            $0.l3Concurrency = 1
        } _: { cache in
            fixture.store.set(.failing)
            let device = try await fixture.device(cache, DeviceOptions())
            await device.prefetched()
            #expect(asked.names.count < 12)
            #expect(device.statistics.prefetch.chunks == 0)
            fixture.store.set(.none)
            let found2 = try await device.bytes(0, 512)
            #expect(found2 == Array(content[..<512]))
            await device.close()
        }
    }

    @Test func closingGivesUpWhatIsUnderWay() async throws {
        try await fixture.push(content)
        _ = try await setTrace(Array(0..<16))
        try await fixture.withCache { cache in
            let before = fixture.store.chunkReads
            fixture.store.set(.hanging)
            let device = try await fixture.device(cache, DeviceOptions())
            await fixture.store.waitForReads(before + 1)
            await device.close()
            fixture.store.set(.none)
            let found3 = try await device.bytes(0, content.count)
            #expect(found3 == content)
        }
    }

    /// Sequential reads have the next chunks on their way; random ones cost what they ask for.
    @Test func sequentialReadersAreReadAheadOf() async throws {
        try await fixture.push(content)
        try await fixture.withCache(memory: 0) { cache in
            let device = try await fixture.device(cache)
            for slot in [3, 11, 7, 0, 14] { _ = try await device.bytes(slot << 19 | 8192, 4096) }
            #expect(device.statistics.tiers.l3.chunks == 5)
        }
        try await fixture.withCache(memory: 0) { cache in
            let device = try await fixture.device(cache)
            var all: [UInt8] = []
            for offset in stride(from: 0, to: content.count, by: 128 << 10) {
                all += try await device.bytes(offset, 128 << 10)
            }
            #expect(all == content)
            let statistics = device.statistics
            // Without memory, each of the four reads of a chunk that was not read ahead fetches it again.
            #expect(statistics.tiers.l3.chunks < 32)
            #expect(statistics.asked == .init(reads: 64, bytes: content.count))
        }
    }
}
