import CacheCore
import NIOCore
import TestSupport
import Testing

@Suite struct MemoryCacheTests {
    private func id(_ number: Int, key: SHA256Digest = .zero) -> ChunkRef {
        let name = withUnsafeBytes(of: number) { ChunkID(SHA256Digest(hashing: $0)) }
        return ChunkRef(id: name, key: ChunkKey(Key256(key)), plainLength: 100, sealedLength: 100, codec: .raw)
    }

    /// Who names a chunk without its key must neither read it nor replace it for those who have the key.
    @Test func keyBelongsToTheName() {
        let cache = MemoryCache<ChunkRef>(capacity: 1 << 20)
        let wrong = id(1, key: id(1).id.digest)
        cache.insert(wrong, buffer(2, bytes: 100))
        #expect(cache.get(id(1)) == nil)
        cache.insert(id(1), buffer(1, bytes: 100))
        #expect(cache.get(id(1)) == buffer(1, bytes: 100))
        #expect(cache.get(wrong) == buffer(2, bytes: 100))
    }

    private func buffer(_ number: Int, bytes: Int) -> ByteBuffer {
        var buffer = ByteBufferAllocator().buffer(capacity: bytes)
        buffer.writeRepeatingByte(UInt8(truncatingIfNeeded: number), count: bytes)
        return buffer
    }

    @Test func boundIsKeptAndContentIsRight() {
        let cache = MemoryCache<ChunkRef>(capacity: 1 << 20)
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<5_000 {
            let number = Int.random(in: 0..<200, using: &generator)
            if let found = cache.get(id(number)) {
                #expect(found == buffer(number, bytes: 1 << 14))
            } else {
                cache.insert(id(number), buffer(number, bytes: 1 << 14))
            }
            #expect(cache.usage.bytes <= 1 << 20)
        }
        #expect(cache.usage.evictions > 0)
    }

    @Test func scanDoesNotFlushWhatIsReadAgain() {
        let cache = MemoryCache<ChunkRef>(capacity: 1 << 20)
        for number in 0..<32 { cache.insert(id(number), buffer(number, bytes: 1 << 14)) }
        for scanned in 1_000..<2_000 {
            for number in 0..<32 { _ = cache.get(id(number)) }
            cache.insert(id(scanned), buffer(scanned, bytes: 1 << 14))
        }
        #expect((0..<32).allSatisfy { cache.contains(id($0)) })
    }

    @Test func zeroCapacityKeepsNothing() {
        let cache = MemoryCache<ChunkRef>(capacity: 0)
        cache.insert(id(1), buffer(1, bytes: 1))
        #expect(cache.get(id(1)) == nil)
    }
}
