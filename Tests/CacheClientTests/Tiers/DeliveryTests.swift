import CacheCore
import NIOCore
import NIOPosix
import TestSupport
import Testing

@testable import CacheClient

/// Chunks that are taken on the thread that opened them.
@Suite(.timeLimit(.minutes(10))) struct DeliveryTests {
    private struct DiskIsFull: Error {}

    /// Of many readers that share a flight, only the one whose delivery fails gets the error, no matter which of them
    /// started the flight.
    @Test(arguments: [true, false]) func aDeliveryThatFailsFailsAlone(_ isLeader: Bool) async throws {
        let fixture = try ClientFixture()
        let content = fixture.bytes(100_000)
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        try await fixture.withCache { cache in
            let layer = try await fixture.image(cache).layers[0]
            let ref = layer.manifest.data[0]
            fixture.store.set(.hanging)
            func ask(failing: Bool) -> Task<Bool, any Error> {
                Task {
                    let delivery = ChunkDelivery(on: pool) { bytes in
                        if failing { throw DiskIsFull() }
                        #expect(bytes == ByteBuffer(bytes: content))
                    }
                    return try await layer.chunk(ref, use: .recycled, delivery: delivery).readableBytes == content.count
                }
            }
            let first = ask(failing: isLeader)
            await fixture.store.waitForReads(before + 1)
            let others = (0..<8).map { ask(failing: !isLeader && $0 == 3) }
            fixture.store.set(.none)
            for (number, asked) in ([first] + others).enumerated() {
                if number == (isLeader ? 0 : 4) {
                    await #expect(throws: DiskIsFull.self) { _ = try await asked.value }
                } else {
                    #expect(try await asked.value)
                }
            }
        }
        try await pool.shutdownGracefully()
    }
}
