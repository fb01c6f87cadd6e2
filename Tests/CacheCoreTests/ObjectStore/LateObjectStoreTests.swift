import CacheCore
import NIOCore
import Synchronization
import TestSupport
import Testing

@Suite struct LateObjectStoreTests {
    @Test func isOpenedOnceByTheFirstCall() async throws {
        let scratch = try TemporaryDirectory()
        let opened = Mutex(0)
        let store = LateObjectStore {
            opened.withLock { $0 += 1 }
            return try FileObjectStore(root: scratch.path, create: false)
        }
        #expect(opened.withLock { $0 } == 0)
        try await ObjectStoreConformance.racingPuts.check(store)
        #expect(opened.withLock { $0 } == 1)
    }

    /// Each call tries again, and none takes a store that is away for an object that is gone.
    @Test func aStoreMayComeLater() async throws {
        let scratch = try TemporaryDirectory()
        let place = scratch.path + "/mounted"
        let store = try ObjectStoreLocation.parse(place).openLate()
        let name = try key("refs/a/b/c")
        for _ in 0..<2 {
            let error = await failure { try await store.get(name, limit: 100) }
            #expect(error?.code == .io)
            #expect(error?.message.contains(place) == true)
        }
        try await withThrowingTaskGroup(of: CacheError?.self) { group in
            for _ in 0..<20 { group.addTask { await failure { try await store.head(name) } } }
            for try await error in group { #expect(error?.code == .io) }
        }
        _ = try await FileObjectStore(root: place, create: true).putIfAbsent(name, ByteBuffer(string: "x"))
        #expect(try await store.get(name, range: 0..<10) == ByteBuffer(string: "x"))
    }
}
