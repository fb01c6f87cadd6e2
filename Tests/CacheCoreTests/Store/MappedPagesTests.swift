import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheStore

/// What a process has of the store's file in its resident memory is bounded, however much of it is read.
@Suite struct MappedPagesTests {
    private static let limit = 2 << 20

    /// Bytes of the file's map that are resident, as the kernel counts them.
    private func residentBytes(of path: String) throws -> Int {
        var bytes = 0
        var isCounted = false
        let file = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
        let text = String(decoding: try #require(try file.readToEnd()), as: UTF8.self)
        for line in text.split(separator: "\n") {
            let fields = line.split(whereSeparator: \.isWhitespace)
            if fields.first?.last != ":" { isCounted = line.hasSuffix(path) }
            if isCounted, fields.first == "Rss:" { bytes += (Int(fields[1]) ?? 0) << 10 }
        }
        return bytes
    }

    /// Chunks whose last bytes lie in the index, so that reading them touches all of it.
    @Test func readsLeaveLittleMapped() async throws {
        let directory = try TemporaryDirectory()
        let length = StoreLayout.standard.extentBytes + 1_000
        let chunks = (0..<2_000).map { number -> ByteBuffer in
            var buffer = ByteBuffer(repeating: 7, count: length)
            buffer.setInteger(number, at: 0)
            return buffer
        }
        let filling = try openStore(directory, capacity: 256 << 20)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for chunk in chunks { group.addTask { _ = try await filling.put(ChunkID(of: chunk), chunk) } }
            try await group.waitForAll()
        }
        await filling.close()
        var resident: [Int?: Int] = [:]
        for limit in [Self.limit, nil] {
            var options = ChunkStore.Options(capacity: 256 << 20)
            options.mappedBytes = limit
            let store = try ChunkStore.open(directory.path, options: options, logger: .quiet)
            for chunk in chunks { #expect(try store.read(ChunkID(of: chunk)) == chunk) }
            resident[limit] = try residentBytes(of: directory("data.mdb"))
            await store.close()
            await store.close()
        }
        let (bounded, free) = (try #require(resident[Self.limit]), try #require(resident[nil]))
        // The kernel maps neighbours as well.
        #expect(bounded <= 3 * Self.limit)
        #expect(free > 3 * Self.limit)
    }
}
