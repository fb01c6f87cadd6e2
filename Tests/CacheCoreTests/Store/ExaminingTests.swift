import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheStore
@testable import store_exerciser

/// Looking after a store changes nothing but what is damaged.
@Suite struct ExaminingTests {
    private let directory: TemporaryDirectory
    private let chunks = SampleChunks()

    init() throws { directory = try TemporaryDirectory() }

    /// Lengths without and with extents, tails inline and not.
    private static let lengths = [1, 1_000, 32_752, 33_000, 40_000, 300_000, 524_288]

    @Test func soundChunksStayAsTheyAre() async throws {
        let store = try openStore(directory)
        for (number, length) in Self.lengths.enumerated() {
            let bytes = chunks.bytes(UInt64(number), length: length)
            _ = try await store.put(SampleChunks.id(bytes), bytes)
        }
        let before = store.statistics
        for (number, length) in Self.lengths.enumerated() {
            let id = SampleChunks.id(chunks.bytes(UInt64(number), length: length))
            #expect(try store.examine(id) == .sound(bytes: length))
        }
        #expect(try store.examine(SampleChunks.id(chunks.bytes(99))) == .absent)
        // Neither a use nor a write.
        try await store.flush()
        #expect(store.statistics == before)
        await store.close()
    }

    @Test(arguments: lengths.filter { $0 > 32_000 }) func damagedChunkIsDroppedOnce(length: Int) async throws {
        let bytes = chunks.bytes(1, length: length)
        let id = SampleChunks.id(bytes)
        let store = try openStore(directory)
        _ = try await store.put(id, bytes)
        try flip(near: bytes)
        #expect(try store.examine(id) == .dropped)
        #expect(try store.examine(id) == .absent)
        #expect(try store.readUnverified(id) == nil)
        try await store.flush()
        #expect(store.statistics.faults.corruptDropped == 1)
        #expect(try await store.put(id, bytes) == .created)
        #expect(try store.examine(id) == .sound(bytes: length))
        await store.close()
    }

    private func flip(near bytes: ByteBuffer) throws {
        let path = directory("data.mdb")
        let content = try Data(contentsOf: URL(fileURLWithPath: path))
        let range = try #require(content.range(of: Data(bytes.readableBytesView.prefix(64))))
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seek(toOffset: UInt64(range.lowerBound + 40))
        try file.write(contentsOf: [content[range.lowerBound + 40] ^ 1])
        try file.close()
    }

    /// All of them, each once, in the order of their names, over many leaves and levels of the index.
    @Test func walkMeetsEveryChunk() async throws {
        let store = try openStore(directory)
        #expect(try store.ids(after: ChunkID(.zero)).isEmpty)
        var ids: Set<ChunkID> = []
        for number in 0..<6_000 as Range<UInt64> {
            let bytes = chunks.bytes(number, length: 40)
            let id = SampleChunks.id(bytes)
            ids.insert(id)
            while !store.tryPut(id, bytes) { try await store.flush() }
        }
        try await store.flush()
        var met: [ChunkID] = []
        var last = ChunkID(.zero)
        while true {
            let next = try store.ids(after: last)
            guard let end = next.last else { break }
            met += next
            last = end
        }
        #expect(met == ids.sorted())
        await store.close()
    }

    /// What nobody reads is not to push out what is read.
    @Test(.enabled(if: CachedPages.canBeForgotten, "the temporary directory is not on a disk"))
    func pageCacheIsLeftAsItWas() async throws {
        let pages = CachedPages(path: directory("data.mdb"))
        let sample = (0..<8 as Range<UInt64>).map { chunks.bytes($0, length: 340_000) }
        var store = try openStore(directory)
        for bytes in sample { _ = try await store.put(SampleChunks.id(bytes), bytes) }
        await store.close()
        store = try openStore(directory)
        pages.forget()
        for bytes in sample.prefix(4) { #expect(try store.read(SampleChunks.id(bytes)) == bytes) }
        let warm = pages.count
        for bytes in sample { #expect(try store.examine(SampleChunks.id(bytes)) == .sound(bytes: 340_000)) }
        // Pages of the index stay; of the chunks none that was not there, and all that were.
        #expect(abs(pages.count - warm) < 40)
        await store.close()
    }
}
