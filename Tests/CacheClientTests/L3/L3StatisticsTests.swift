import CacheClient
import CacheCore
import TestSupport
import Testing

/// What a cache tells of its calls to L3.
@Suite(.timeLimit(.minutes(10))) struct L3StatisticsTests {
    @Test func readsAreCountedByOperation() async throws {
        let fixture = try ClientFixture()
        // Two chunks, none of which compresses.
        let content = fixture.bytes(1 << 20)
        try await fixture.push(content)
        try await fixture.withCache { cache in
            #expect(cache.l3Statistics == ObjectStoreStatistics())
            let counts = try await fixture.expect(content, from: cache)
            #expect(counts.l3.chunks == 2)
            let once = cache.l3Statistics
            // The chunks with the skeleton's, and the manifests of the image and its layer.
            let ranges = once[.getRange]
            #expect(ranges.calls >= 4)
            #expect(ranges.bytes > content.count)
            #expect(ranges.failures == 0)
            #expect(ranges.underWay == 0)
            // The ref.
            #expect(once[.get].calls + once[.head].calls > 0)
            #expect(once[.putIfAbsent].calls + once[.replace].calls + once[.delete].calls == 0)
            fixture.store.set(.failing)
            try await fixture.expect(content, from: cache)
            #expect(cache.l3Statistics[.getRange].failures == 0)
        }
    }

    @Test func failuresOfL3AreCounted() async throws {
        let fixture = try ClientFixture()
        try await fixture.push(fixture.bytes(1 << 19))
        fixture.store.set(.failing)
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            #expect(await cacheError { _ = try await image.layers[0].collect() }?.code == .io)
            #expect(cache.l3Statistics[.getRange].failures > 0)
        }
    }
}
