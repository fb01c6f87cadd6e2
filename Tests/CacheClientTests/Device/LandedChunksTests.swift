import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

@Suite struct LandedChunksTests {
    private func ref(_ number: UInt32) -> ChunkRef {
        let name = withUnsafeBytes(of: number) { ChunkID(SHA256Digest(hashing: $0)) }
        return ChunkRef(
            id: name, key: ChunkKey(Key256(SHA256Digest.zero)), plainLength: 100, sealedLength: 100, codec: .raw)
    }

    @Test func theOldestGoesFirst() {
        let landed = LandedChunks(capacity: 2)
        for number in UInt32(0)..<3 { landed.add(ref(number), ByteBuffer(integer: number)) }
        #expect(landed.get(ref(0)) == nil)
        #expect(landed.get(ref(1)) == ByteBuffer(integer: UInt32(1)))
        #expect(landed.get(ref(2)) == ByteBuffer(integer: UInt32(2)))
    }

    /// What was taken out and has come again is as old as its second coming.
    @Test func whatComesAgainIsNew() {
        let landed = LandedChunks(capacity: 3)
        landed.add(ref(0), ByteBuffer(integer: 0))
        landed.remove(ref(0))
        #expect(landed.get(ref(0)) == nil && landed.count == 0)
        for number in [UInt32(1), 0, 2] { landed.add(ref(number), ByteBuffer(integer: number)) }
        #expect(landed.get(ref(0)) == ByteBuffer(integer: UInt32(0)))
        landed.add(ref(3), ByteBuffer(integer: 3))
        #expect(landed.get(ref(1)) == nil && landed.get(ref(0)) != nil)
        #expect(landed.count == 3)
    }
}
