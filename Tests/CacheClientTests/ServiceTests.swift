import CacheClient
import CacheCore
import Logging
import NIOCore
import ServiceLifecycle
import TestSupport
import Testing

/// A cache among the services of an agent.
@Suite(.timeLimit(.minutes(10))) struct ServiceTests {
    @Test func aGroupThatShutsDownClosesTheCache() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(700_000)
        try await fixture.push(content)
        var configuration = CacheConfiguration(l1Directory: fixture("l1"), l1Capacity: 64 << 20, l3: fixture.store)
        configuration.memoryBytes = 0
        configuration.setNoDeadlines()
        let cache = try await LayerCache.open(configuration, logger: .quiet)
        let group = ServiceGroup(
            configuration: .init(services: [.init(service: cache)], logger: .quiet))
        async let end: Void = group.run()
        #expect(try await fixture.readAll(cache).bytes == content)
        await group.triggerGracefulShutdown()
        try await end
        // L1 is free again, and holds what was read.
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let (bytes, counts) = try await fixture.readAll(cache)
            #expect(bytes == content)
            #expect(counts.l1.chunks == 2)
            #expect(counts.l3.chunks == 0)
        }
    }

    /// Cancelled, a group gives its services no time; what was read reaches L1 all the same, and L1 is closed.
    @Test func aGroupThatIsCancelledClosesTheCache() async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(700_000)
        try await fixture.push(content)
        var configuration = CacheConfiguration(l1Directory: fixture("l1"), l1Capacity: 64 << 20, l3: fixture.store)
        configuration.memoryBytes = 0
        configuration.setNoDeadlines()
        let cache = try await LayerCache.open(configuration, logger: .quiet)
        #expect(try await fixture.readAll(cache).bytes == content)
        let service = Task { try await cache.run() }
        service.cancel()
        try await service.value
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let (bytes, counts) = try await fixture.readAll(cache)
            #expect(bytes == content)
            #expect(counts.l1.chunks == 2)
            #expect(counts.l3.chunks == 0)
        }
    }
}
