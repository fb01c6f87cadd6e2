import CacheCore
import Glibc
import NIOCore
import Testing

@testable import store_exerciser

@Suite struct FullDiskTests {
    private static let canMount = geteuid() == 0

    @Test(.enabled(if: canMount, "mounting a small tmpfs needs root"))
    func aFullDiskRefusesWritesAndKeepsReads() async throws {
        let directory = try ScratchDirectory()
        guard mount("tmpfs", directory.path, "tmpfs", 0, "size=8m") == 0 else {
            Issue.record("tmpfs could not be mounted: \(CacheError.system("mount"))")
            return
        }
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        let chunks = SampleChunks()
        let store = try openStore(directory, capacity: 64 << 20)
        var stored: [UInt64] = []
        var refusal: CacheError?
        for number in 0..<UInt64(100) {
            let bytes = chunks.bytes(number)
            do {
                _ = try await store.put(SampleChunks.id(bytes), bytes)
                stored.append(number)
            } catch {
                refusal = error as? CacheError
            }
        }
        #expect(refusal?.code == .io && refusal?.message.contains(directory.path) == true)
        #expect(store.statistics.writesRefused > 0 && !stored.isEmpty)
        for number in stored {
            let bytes = chunks.bytes(number)
            #expect(try store.read(SampleChunks.id(bytes)) == bytes)
        }
        // Someone makes room: what is dropped here can be used again.
        for number in stored.prefix(stored.count / 2) { store.reportCorrupt(SampleChunks.id(chunks.bytes(number))) }
        let small = chunks.bytes(7_000, length: 100)
        var accepted = false
        for attempt in 0..<UInt64(8) where !accepted {
            let bytes = chunks.bytes(8_000 + attempt, length: 40_000)
            _ = try? await store.put(SampleChunks.id(small), small)
            accepted = (try? await store.put(SampleChunks.id(bytes), bytes)) == .created
        }
        #expect(accepted)
        await store.close()
    }
}
