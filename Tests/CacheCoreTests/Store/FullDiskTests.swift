import CacheCore
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import store_exerciser

@Suite struct FullDiskTests {
    private static let canMount = geteuid() == 0

    @Test(.enabled(if: canMount, "mounting a small tmpfs needs root"))
    func aFullDiskRefusesWritesAndKeepsReads() async throws {
        let directory = try TemporaryDirectory()
        guard mount("tmpfs", directory.path, "tmpfs", 0, "size=8m") == 0 else {
            Issue.record("tmpfs could not be mounted: \(CacheError.system("mount"))")
            return
        }
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        let chunks = SampleChunks()
        let store = try openStore(directory, capacity: 64 << 20)
        let first = chunks.bytes(0)
        _ = try await store.put(SampleChunks.id(first), first)
        // Another program takes all the rest of the disk.
        let ballast = open("\(directory.path)/ballast", O_WRONLY | O_CREAT, 0o600)
        let zeros = [UInt8](repeating: 0, count: 4096)
        while write(ballast, zeros, zeros.count) > 0 {}
        close(ballast)
        let large = chunks.bytes(1, length: ChunkLimits.sealedBytes)
        let refusal = await #expect(throws: CacheError.self) { try await store.put(SampleChunks.id(large), large) }
        #expect(refusal?.code == .io)
        #expect(refusal?.message.contains(directory.path) == true)
        #expect(store.statistics.writesRefused == 1)
        if let found = try store.read(SampleChunks.id(first)) { #expect(found == first) }
        unlink("\(directory.path)/ballast")
        #expect(try await store.put(SampleChunks.id(large), large) == .created)
        #expect(try store.read(SampleChunks.id(large)) == large)
        // Far more than the disk holds: the store lives in what it has got.
        var last = first
        for number in 2..<UInt64(100) {
            let bytes = chunks.bytes(number)
            do {
                _ = try await store.put(SampleChunks.id(bytes), bytes)
                last = bytes
                #expect(try store.read(SampleChunks.id(bytes)) == bytes)
            } catch let error as CacheError {
                #expect(error.code == .io)
            }
        }
        #expect(last != first)
        #expect(store.statistics.evictions > 0)
        #expect(try store.read(SampleChunks.id(last)) == last)
        await store.close()
    }
}
