import CacheCore
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import store_exerciser

@Suite struct SnapshotTests {
    private let chunks = SampleChunks()

    /// A commit writes its meta page and hands out its snapshot later: a reader that begins in between, on a busy
    /// machine for as long as the writer's thread does not run, gets the snapshot before. That is no damage.
    @Test func aReaderThatBeginsInTheMiddleOfACommit() async throws {
        let directory = try TemporaryDirectory()
        let store = try openStore(directory)
        let first = chunks.bytes(1)
        let second = chunks.bytes(2)
        #expect(try await store.put(SampleChunks.id(first), first) == .created)
        let newest = HandedOut(directory)
        let before = try #require(newest.value)
        #expect(try await store.put(SampleChunks.id(second), second) == .created)
        let after = try #require(newest.value)
        #expect(after > before)

        newest.value = after - 1
        #expect(try store.read(SampleChunks.id(first)) == first)
        _ = try store.read(SampleChunks.id(second))
        newest.value = after
        #expect(try store.read(SampleChunks.id(second)) == second)

        let statistics = store.statistics
        #expect(statistics.faults.reopenings == 0)
        #expect(statistics.faults.resets == 0)
        #expect(statistics.faults.corruptDropped == 0)
        await store.close()
    }

    /// Readers that begin all the time, beside commits as fast as they come.
    @Test func readersBesideCommits() async throws {
        let directory = try TemporaryDirectory(in: TemporaryDirectory.parentInMemory)
        let store = try openStore(directory)
        let known = chunks.bytes(1)
        #expect(try await store.put(SampleChunks.id(known), known) == .created)
        try await withThrowingTaskGroup(of: (hits: Int, misses: Int).self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var count = (hits: 0, misses: 0)
                    while !Task.isCancelled {
                        if try store.contains(SampleChunks.id(known)) { count.hits += 1 } else { count.misses += 1 }
                        await Task.yield()
                    }
                    return count
                }
            }
            for number in 100..<UInt64(600) {
                let bytes = chunks.bytes(number, length: 100)
                #expect(try await store.put(SampleChunks.id(bytes), bytes) == .created)
            }
            group.cancelAll()
            for try await count in group { #expect(count.misses == 0) }
        }
        #expect(store.statistics.faults.reopenings == 0)
        #expect(store.statistics.faults.resets == 0)
        await store.close()
    }
}

/// The number of the newest snapshot that LMDB hands out, in its lock file, which its users share as a map.
private struct HandedOut {
    private let path: String

    init(_ directory: TemporaryDirectory) { path = "\(directory.path)/lock.mdb" }

    /// After the magic number and the format, of four bytes each, and a mutex (LMDB 0.9 on 64-bit Linux, `MDB_txbody`).
    private static let place: off_t = 48

    var value: UInt64? {
        get {
            let descriptor = open(path, O_RDONLY)
            defer { close(descriptor) }
            var number: UInt64 = 0
            return pread(descriptor, &number, 8, Self.place) == 8 ? number : nil
        }
        nonmutating set {
            guard var number = newValue else { return }
            let descriptor = open(path, O_WRONLY)
            defer { close(descriptor) }
            #expect(pwrite(descriptor, &number, 8, Self.place) == 8)
        }
    }
}
