import CacheCore
import NIOCore
import Testing

@testable import CacheServer

/// The memory tier keeps its bound, and a scan passes it by.
struct MemoryTierTests {
    private func chunk(_ seed: UInt64, _ length: Int = 4_096) -> TestChunk { TestChunk(seed: seed, length: length) }

    @Test func holdsNoMoreThanItsCapacity() {
        let tier = MemoryTier(capacity: 1 << 20)
        for seed in 0..<600 {
            let chunk = chunk(UInt64(seed), 1_000 + seed * 13)
            tier.insert(chunk.id, chunk.bytes, isVerified: true)
            #expect(tier.usage.bytes <= 1 << 20)
            if let found = tier.chunk(chunk.id) { #expect(found == chunk.bytes) }
        }
        #expect(tier.usage.chunks > 50)
        #expect(tier.usage.chunks + tier.usage.evictions == 600)
    }

    @Test func countsTheMemoryOfABufferAndNotItsContent() {
        let tier = MemoryTier(capacity: 1 << 20)
        var roomy = ByteBufferAllocator().buffer(capacity: 1 << 19)
        roomy.writeInteger(UInt64(1))
        let chunk = TestChunk(roomy)
        tier.insert(chunk.id, chunk.bytes, isVerified: true)
        #expect(tier.usage.bytes == 1 << 19)
    }

    @Test func scanLeavesWhatIsReadAgain() {
        let tier = MemoryTier(capacity: 1 << 20)
        let hot = (0..<64).map { chunk($0) }
        for chunk in hot {
            tier.insert(chunk.id, chunk.bytes, isVerified: true)
            _ = tier.chunk(chunk.id)
        }
        for seed in 1_000..<3_000 {
            let scanned = chunk(UInt64(seed))
            tier.insert(scanned.id, scanned.bytes, isVerified: true)
        }
        #expect(hot.allSatisfy { tier.chunk($0.id) == $0.bytes })
    }

    @Test func noCapacityKeepsNothing() {
        let tier = MemoryTier(capacity: 0)
        let chunk = chunk(1)
        tier.insert(chunk.id, chunk.bytes, isVerified: true)
        #expect(tier.chunk(chunk.id) == nil)
        #expect(tier.usage.bytes == 0)
    }

    @Test func manyThreadsShareIt() async {
        let tier = MemoryTier(capacity: 256 << 20)
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for seed in 0..<200 {
                        let chunk = TestChunk(seed: UInt64(seed), length: 2_000)
                        if (seed + worker) % 2 == 0 { tier.insert(chunk.id, chunk.bytes, isVerified: true) }
                        if let found = tier.chunk(chunk.id) { #expect(found == chunk.bytes) }
                    }
                }
            }
        }
        #expect(tier.usage.chunks == 200)
    }
}
