import CacheCore
import CacheFiles
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import store_exerciser

@Suite struct FullDiskTests {
    private static let canMount = geteuid() == 0

    private func mountMemory(on directory: TemporaryDirectory, size: String) throws {
        guard mount("tmpfs", directory.path, "tmpfs", 0, "size=\(size)") == 0 else {
            throw CacheError.system("mount a tmpfs on \(directory.path)", .current)
        }
    }

    /// Another program takes all the rest of the disk.
    private func fill(_ directory: TemporaryDirectory) {
        let ballast = open("\(directory.path)/ballast", O_WRONLY | O_CREAT, 0o600)
        let zeros = [UInt8](repeating: 0, count: 4096)
        while write(ballast, zeros, zeros.count) > 0 {}
        close(ballast)
    }

    @Test(.enabled(if: canMount, "mounting a small tmpfs needs root"))
    func aFullDiskRefusesWritesAndKeepsReads() async throws {
        let directory = try TemporaryDirectory()
        try mountMemory(on: directory, size: "8m")
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        let chunks = SampleChunks()
        let store = try openStore(directory, capacity: 64 << 20)
        let first = chunks.bytes(0)
        _ = try await store.put(SampleChunks.id(first), first)
        fill(directory)
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

    /// Nothing is let go that another program could take before the store is open.
    @Test(.enabled(if: canMount, "mounting a small tmpfs needs root"))
    func aStoreIsOpenedInTheRoomThatItHas() async throws {
        let directory = try TemporaryDirectory()
        try mountMemory(on: directory, size: "4m")
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        let chunks = SampleChunks()
        let chunk = chunks.bytes(0)
        let store = try openStore(directory, capacity: 64 << 20)
        _ = try await store.put(SampleChunks.id(chunk), chunk)
        await store.close()
        // And the disk stays so: what is freed is gone.
        fill(directory)
        let before = FileStatus.find("\(directory.path)/lock.mdb")?.identity
        let again = try openStore(directory, capacity: 64 << 20)
        #expect(try again.read(SampleChunks.id(chunk)) == chunk)
        #expect(before != nil && FileStatus.find("\(directory.path)/lock.mdb")?.identity == before)
        await again.close()
    }

    /// What stands in its place is replaced, and not written to.
    @Test func aFileThatIsNoLockFileIsReplaced() async throws {
        let directory = try TemporaryDirectory()
        let chunk = SampleChunks().bytes(0)
        for what in ["a link", "a second name", "another size"] {
            let store = try openStore(directory, capacity: 64 << 20)
            _ = try await store.put(SampleChunks.id(chunk), chunk)
            await store.close()
            let (lock, victim) = ("\(directory.path)/lock.mdb", "\(directory.path)/victim")
            let size = try #require(FileStatus.find(lock)).size + (what == "another size" ? 4096 : 0)
            let text = [UInt8](repeating: 7, count: size)
            unlink(lock)
            unlink(victim)
            let file = open(victim, O_WRONLY | O_CREAT, 0o600)
            #expect(write(file, text, size) == size)
            close(file)
            switch what {
            case "a link": #expect(symlink(victim, lock) == 0)
            case "a second name": #expect(link(victim, lock) == 0)
            default: #expect(rename(victim, lock) == 0)
            }
            let again = try openStore(directory, capacity: 64 << 20)
            #expect(try again.read(SampleChunks.id(chunk)) == chunk, "\(what)")
            await again.close()
            #expect(try #require(FileStatus.find(lock)).size == 40 << 10, "\(what)")
            if what != "another size" { #expect(try [UInt8](Data(contentsOf: .init(filePath: victim))) == text) }
        }
    }
}
