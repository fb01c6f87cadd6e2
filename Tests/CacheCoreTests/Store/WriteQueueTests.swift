import CacheCore
import NIOCore
import Synchronization
import Testing

@testable import CacheStore

/// The bounded queue in front of the writer's thread, without a thread and without a store.
@Suite struct WriteQueueTests {
    private let queue = WriteQueue(path: "store", maximumBytes: 1000)

    private func put(_ bytes: Int) -> QueuedWrite {
        let sealed = ByteBuffer(repeating: 7, count: bytes)
        return .put(sealed.withUnsafeReadableBytes { ChunkID(ofSealed: $0) }, sealed, nil)
    }

    @Test func theThreadIsWokenOnceUntilItFindsNothing() throws {
        #expect(try queue.append(put(10)))
        #expect(try !queue.append(put(10)))
        #expect(queue.takeGroup(1000)?.count == 2)
        #expect(queue.takeGroup(1000) == nil)
        #expect(try queue.append(put(10)))
    }

    @Test func whatWaitsIsBoundedByBytes() throws {
        _ = try queue.append(put(600))
        let error = #expect(throws: CacheError.self) { try queue.append(put(401)) }
        #expect(error?.code == .overloaded)
        _ = try queue.append(put(400))
        // A request that holds no bytes always has room.
        _ = try queue.append(.drop(ChunkID(SHA256Digest(hashing: UnsafeRawBufferPointer(start: nil, count: 0)))))
        #expect(queue.bytes == 1000)
    }

    @Test func groupsAreBoundedByBytesButNeverEmpty() throws {
        for bytes in [300, 300, 100, 300] { _ = try queue.append(put(bytes)) }
        #expect(queue.takeGroup(10)?.map(\.bytes) == [300])
        #expect(queue.takeGroup(400)?.map(\.bytes) == [300, 100])
        #expect(queue.bytes == 300)
    }

    @Test func aClosedQueueTakesNothingAndIsClosedOnce() throws {
        let closings = Atomic<Int>(0)
        #expect(queue.close { closings.add(1, ordering: .relaxed) })
        #expect(!queue.close {})
        #expect(throws: StoreSession.Broken.self) { try queue.append(put(1)) }
        queue.takeClosing()?()
        #expect(queue.takeClosing() == nil)
        #expect(closings.load(ordering: .relaxed) == 1)
    }

    /// What a thread that is held for good has taken, and what still waits, are answered by another one.
    @Test func anAbandonedQueueGivesBackWhatHasNoAnswer() throws {
        for bytes in [1, 2, 3] { _ = try queue.append(put(bytes)) }
        let group = try #require(queue.takeGroup(2))
        queue.setUnderWay(group[...])
        #expect(queue.close {})
        let (unanswered, closing) = queue.abandon()
        #expect(unanswered.map(\.bytes) == [1, 2, 3])
        #expect(closing != nil)
        #expect(queue.bytes == 0)
        #expect(queue.abandon().unanswered.isEmpty)
    }

    @Test func aDropIsClaimedOnce() {
        func id(_ number: UInt64) -> ChunkID {
            withUnsafeBytes(of: number) { ChunkID(SHA256Digest(hashing: $0)) }
        }
        #expect(queue.claimDrop(of: id(0)) == .granted)
        #expect(queue.claimDrop(of: id(0)) == .held)
        queue.endDrop(of: id(0))
        #expect(queue.claimDrop(of: id(0)) == .granted)
        for number in 1..<4096 { #expect(queue.claimDrop(of: id(UInt64(number))) == .granted) }
        #expect(queue.claimDrop(of: id(4096)) == .refused)
    }
}
