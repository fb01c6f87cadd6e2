import CacheCore
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import CacheStore

/// Chunks whose pages are not in the page cache: they are read at once, and are what was put.
@Suite struct ColdReadTests {
    private let directory: TemporaryDirectory
    private var pages: CachedPages { CachedPages(path: directory("data.mdb")) }

    init() throws { directory = try TemporaryDirectory() }

    private static func sealed(_ length: Int, seed: UInt64) -> ByteBuffer {
        var generator = SeededGenerator(seed: seed)
        return ByteBuffer(bytes: (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// A store that has just been opened, and has next to nothing in the page cache.
    private func coldStore(of chunks: [ByteBuffer], capacity: UInt64 = 64 << 20) async throws -> ChunkStore {
        let store = try openStore(directory, capacity: capacity)
        for chunk in chunks { _ = try await store.put(ChunkID(of: chunk), chunk) }
        await store.close()
        let again = try openStore(directory, capacity: capacity)
        // Now: the check of the index has read pages. Those near the pages of the index that are mapped will stay.
        pages.forget()
        return again
    }

    /// How often this thread waited for a page, and the pages that came, while `read` ran.
    private func count<R>(_ read: () throws -> R) rethrows -> (result: R, waits: Int, pages: Int) {
        let (waits, cached) = (CachedPages.waits, pages.count)
        let result = try read()
        return (result, CachedPages.waits - waits, pages.count - cached)
    }

    /// What is read once goes past the page cache, what is read again is kept there; at no time is a page waited for
    /// by itself.
    @Test(.enabled(if: CachedPages.canBeForgotten, "the temporary directory is not on a disk"))
    func aColdChunkIsKeptByThePageCacheWhenItIsReadAgain() async throws {
        let chunks = (0..<8).map { Self.sealed(340_000, seed: $0) }
        let store = try await coldStore(of: chunks)
        let goesPast = try pages.canBePassed
        var (cameFirst, cameSecond) = (0, 0)
        for chunk in chunks {
            let id = ChunkID(of: chunk)
            let length = try count { try store.length(of: id) }
            #expect(length.result == 340_000)
            // To say how long it is takes pages of the index at most.
            #expect(length.pages <= 4)
            let (first, second) = (try count { try store.read(id) }, try count { try store.read(id) })
            for read in [first, second] {
                #expect(read.result == chunk)
                // It lies in 84 pages, each of which would be waited for by itself; two waits are for the index. A few
                // may be for pages of this program.
                #expect(read.waits <= 8)
            }
            #expect(first.pages <= 90 && second.pages <= 90)
            cameFirst += first.pages
            cameSecond += second.pages
        }
        // Some were there already, beside those of the index, and what they belong to is read as if all were.
        let (kept, passed) = goesPast ? (cameSecond, cameFirst) : (cameFirst, cameSecond)
        #expect(kept > 84 * chunks.count / 2)
        #expect(passed < 84 * chunks.count / 3)
        await store.close()
    }

    /// To look at a chunk is not to use it, however often it is done.
    @Test(.enabled(if: CachedPages.canBeForgotten, "the temporary directory is not on a disk"))
    func whatIsExaminedIsNotKept() async throws {
        let chunks = (0..<8).map { Self.sealed(340_000, seed: $0) }
        let store = try await coldStore(of: chunks)
        let before = pages.count
        for _ in 0..<3 {
            for chunk in chunks { #expect(try store.examine(ChunkID(of: chunk)) == .sound(bytes: 340_000)) }
        }
        #expect(pages.count - before < 84)
        await store.close()
    }

    /// Many threads read cold chunks, each one several times: past the page cache, while it is filled, and from it.
    @Test(.enabled(if: CachedPages.canBeForgotten, "the temporary directory is not on a disk"))
    func coldChunksAreReadByManyAtOnce() async throws {
        let chunks = (0..<16).map { Self.sealed([524_288, 340_000, 40_000, 900][Int($0 % 4)], seed: $0) }
        let store = try await coldStore(of: chunks)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for reader in 0..<8 {
                group.addTask {
                    for turn in 0..<(2 * chunks.count) {
                        let chunk = chunks[(turn * (2 * reader + 1) + reader) % chunks.count]
                        let read = try store.read(ChunkID(of: chunk))
                        #expect(read == chunk)
                        if turn % 13 == reader % 13 { pages.forget() }
                    }
                }
            }
            try await group.waitForAll()
        }
        await store.close()
    }

    @Test(.enabled(if: CachedPages.canBeForgotten, "the temporary directory is not on a disk"))
    func chunksOfAllLengthsAfterEviction() async throws {
        let lengths = [1, 1_024, 1_025, 32_752, 32_753, 33_776, 33_777, 131_072, 340_000, 524_288]
        let chunks = (0..<120).map { Self.sealed(lengths[$0 % lengths.count], seed: UInt64($0)) }
        let store = try await coldStore(of: chunks, capacity: 8 << 20)
        var found = 0
        for chunk in chunks {
            let read = try count { try store.read(ChunkID(of: chunk)) }
            guard let bytes = read.result else { continue }
            found += 1
            #expect(bytes == chunk)
            // At most 128 pages, and the index from its root to the record and to the extents.
            if chunk.readableBytes >= 131_072 { #expect(read.waits <= 8) }
        }
        #expect(found > 10 && found < chunks.count)
        await store.close()
    }

    /// Also in memory, where nothing is ever cold, and there is nothing to ask the kernel for.
    @Test(arguments: [TemporaryDirectory.standardParent, TemporaryDirectory.parentInMemory])
    func damageOnTheDiskIsFound(_ parent: String) async throws {
        let directory = try TemporaryDirectory(in: parent)
        let chunks = (0..<4).map { Self.sealed(340_000, seed: $0) }
        let store = try openStore(directory)
        for chunk in chunks { _ = try await store.put(ChunkID(of: chunk), chunk) }
        await store.close()
        try damage(directory("data.mdb"), chunks[2])
        CachedPages(path: directory("data.mdb")).forget()
        let again = try openStore(directory)
        for (number, chunk) in chunks.enumerated() {
            if number == 2 {
                #expect(throws: CacheError.self) { try again.read(ChunkID(of: chunk)) }
            } else {
                #expect(try again.read(ChunkID(of: chunk)) == chunk)
            }
        }
        try await again.flush()
        #expect(try again.read(ChunkID(of: chunks[2])) == nil)
        await again.close()
    }

    /// Changes one byte in the middle of where the file has the chunk's last whole extent.
    private func damage(_ path: String, _ chunk: ByteBuffer) throws {
        let extent = StoreLayout.standard.extentBytes
        let start = (chunk.readableBytes / extent - 1) * extent
        let wanted = try #require(chunk.getBytes(at: start, length: 64))
        let file = open(path, O_RDWR | O_CLOEXEC)
        defer { close(file) }
        var found = 0
        var bytes = [UInt8](repeating: 0, count: 64)
        for page in 2..<Int(lseek(file, 0, SEEK_END)) / 4096 {
            let place = off_t(page * 4096 + StoreLayout.overflowHeaderBytes)
            guard pread(file, &bytes, bytes.count, place) == bytes.count, bytes == wanted else { continue }
            found += 1
            let middle = place + off_t(extent / 2)
            #expect(pread(file, &bytes, 1, middle) == 1)
            bytes[0] ^= 1
            #expect(pwrite(file, &bytes, 1, middle) == 1)
        }
        #expect(found == 1)
    }
}
