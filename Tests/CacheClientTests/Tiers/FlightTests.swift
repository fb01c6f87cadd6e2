import CacheClient
import CacheCore
import NIOCore
import TestSupport
import Testing

/// One flight a chunk, and who may leave it.
@Suite(.timeLimit(.minutes(10))) struct FlightTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(100_000)
    }

    private func read(_ image: CachedImage) async throws -> [UInt8] {
        var buffer = ByteBuffer()
        try await image.layers[0].read(at: RegionAddress(rawValue: 0), count: content.count, into: &buffer)
        return Array(buffer.readableBytesView)
    }

    @Test func manyReadersCostOneReadOfL3() async throws {
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let image = try await fixture.image(cache)
            fixture.store.set(.hanging)
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<1000 { group.addTask { try await read(image) == content } }
                await fixture.store.waitForReads(before + 1)
                fixture.store.set(.none)
                for try await isRight in group { #expect(isRight) }
            }
            #expect(fixture.store.chunkReads == before + 1)
            #expect(image.counts.l3.chunks == 1)
            #expect(image.counts.memory.chunks == 999)
        }
    }

    @Test func aReaderThatLeavesKillsNoFlightOfOthers() async throws {
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            fixture.store.set(.hanging)
            let leader = Task { try await read(image) }
            await fixture.store.waitForReads(before + 1)
            let followers = (0..<10).map { _ in Task { try await read(image) } }
            leader.cancel()
            // It returns although L3 still hangs.
            await #expect(throws: CancellationError.self) { _ = try await leader.value }
            followers[0].cancel()
            await #expect(throws: CancellationError.self) { _ = try await followers[0].value }
            let late = Task { try await read(image) }
            fixture.store.set(.none)
            for reader in followers.dropFirst() + [late] { #expect(try await reader.value == content) }
        }
    }

    @Test func whoComesAfterAllHaveLeftStartsAnew() async throws {
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            fixture.store.set(.hanging)
            for round in 1...3 {
                let reader = Task { try await read(image) }
                await fixture.store.waitForReads(before + round)
                reader.cancel()
                await #expect(throws: CancellationError.self) { _ = try await reader.value }
            }
            fixture.store.set(.none)
            #expect(try await read(image) == content)
        }
    }

    @Test func aReaderThatIsCancelledBeforehandReadsNothing() async throws {
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            let reader = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await read(image)
            }
            await #expect(throws: CancellationError.self) { _ = try await reader.value }
            #expect(fixture.store.chunkReads == before)
        }
    }

    @Test func anErrorGoesToAllWhoWaitAndToNobodyElse() async throws {
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            fixture.store.set(.corrupting)
            await withTaskGroup(of: CacheError.Code?.self) { group in
                for _ in 0..<50 { group.addTask { await cacheError { _ = try await read(image) }?.code } }
                for await code in group { #expect(code == .corrupt) }
            }
            fixture.store.set(.none)
            #expect(try await read(image) == content)
        }
    }
}
