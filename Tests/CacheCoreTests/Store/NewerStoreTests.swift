import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import store_exerciser

/// An older program does not empty what a newer one has made.
@Suite struct NewerStoreTests {
    private let chunks = SampleChunks()

    private func makeStore(_ directory: TemporaryDirectory) async throws {
        let store = try openStore(directory)
        let bytes = chunks.bytes(1)
        _ = try await store.put(SampleChunks.id(bytes), bytes)
        await store.close()
    }

    /// Changes a field of four bytes behind the places where `magic` stands, at a distance.
    /// - Parameter most: how many of them at most.
    private func patch(
        _ directory: TemporaryDirectory, magic: [UInt8], at distance: Int, to value: UInt8, most: Int = .max
    ) throws {
        let url = URL(fileURLWithPath: directory.path + "/data.mdb")
        var data = try Data(contentsOf: url)
        var start = data.startIndex
        var count = 0
        while count < most, let found = data.range(of: Data(magic), in: start..<data.endIndex) {
            data[found.lowerBound + distance] = value
            start = found.upperBound
            count += 1
        }
        #expect(count > 0)
        try data.write(to: url)
    }

    private static let state = Array("LCTS".utf8) + [1, 0, 0, 0]
    private static let meta: [UInt8] = [0xDE, 0xC0, 0xEF, 0xBE, 1, 0, 0, 0]

    @Test(arguments: [(state, 4), (meta, 4)]) func isLeftAsItIs(_ magic: [UInt8], _ distance: Int) async throws {
        let directory = try TemporaryDirectory()
        try await makeStore(directory)
        try patch(directory, magic: magic, at: distance, to: 2)
        let before = try Data(contentsOf: URL(fileURLWithPath: directory.path + "/data.mdb"))
        let error = #expect(throws: CacheError.self) { try openStore(directory) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains(directory.path) == true)
        let looked = #expect(throws: CacheError.self) { try ChunkStore.look(at: directory.path) }
        #expect(looked?.message == error?.message)
        #expect(try Data(contentsOf: URL(fileURLWithPath: directory.path + "/data.mdb")) == before)
    }

    /// A store that is being made gets both of its meta pages.
    @Test func oneMetaPageOfTwoIsDamage() async throws {
        let directory = try TemporaryDirectory()
        try await makeStore(directory)
        try patch(directory, magic: Self.meta, at: 4, to: 176, most: 1)
        let store = try openStore(directory)
        #expect(store.statistics.faults.resets == 1)
        await store.close()
    }

    @Test(arguments: [(state, 4), (meta, 4)]) func anImpossibleVersionIsDamage(
        _ magic: [UInt8], _ distance: Int
    ) async throws {
        let directory = try TemporaryDirectory()
        try await makeStore(directory)
        try patch(directory, magic: magic, at: distance, to: 0)
        let store = try openStore(directory)
        #expect(store.statistics.resets == 1)
        #expect(store.statistics.chunks == 0)
        await store.close()
    }
}
