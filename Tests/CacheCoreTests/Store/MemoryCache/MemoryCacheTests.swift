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

    /// Against a model: bytes are right, the bound is kept and what is counted is there, also where chunks are removed
    /// and replaced by shorter and longer ones while others are evicted.
    @Test func removedAndReplacedChunksCountRight() {
        let cache = MemoryCache<ChunkRef>(capacity: 1 << 20)
        var generator = SeededGenerator(seed: 8)
        var newest: [Int: ByteBuffer] = [:]
        for round in 0..<20_000 {
            let number = Int.random(in: 0..<200, using: &generator)
            switch Int.random(in: 0..<8, using: &generator) {
            case 0:
                cache.remove(id(number))
                newest[number] = nil
                #expect(!cache.contains(id(number)))
                #expect(cache.peek(id(number)) == nil)
            case 1:
                let bytes = buffer(round, bytes: 1 << Int.random(in: 8...15, using: &generator))
                cache.insert(id(number), bytes, replacing: true)
                newest[number] = bytes
            default:
                if let found = cache.get(id(number)) {
                    #expect(found == newest[number])
                } else {
                    newest[number] = buffer(number, bytes: 1 << 14)
                    cache.insert(id(number), buffer(number, bytes: 1 << 14))
                }
            }
            #expect(cache.usage.bytes <= 1 << 20)
        }
        let keys = cache.keys
        #expect(keys.count == cache.usage.chunks)
        #expect(keys.reduce(0) { $0 + (cache.peek($1)?.storageCapacity ?? 0) } == cache.usage.bytes)
        for key in keys { cache.remove(key) }
        #expect(cache.usage.chunks == 0)
        #expect(cache.usage.bytes == 0)
    }

    @Test func zeroCapacityKeepsNothing() {
        let cache = MemoryCache<ChunkRef>(capacity: 0)
        cache.insert(id(1), buffer(1, bytes: 1))
        #expect(cache.get(id(1)) == nil)
    }
}
