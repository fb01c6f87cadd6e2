import CacheCore
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import store_exerciser

/// Other processes: beside this one, killed, and with damaged files. They are real.
@Suite struct SharedDirectoryTests {
    private let chunks = SampleChunks()
    private let capacity = UInt64(12 << 20)

    @Test func severalProcessesShareADirectory() async throws {
        let directory = try TemporaryDirectory()
        let store = try openStore(directory, capacity: capacity)
        let others = try (1...3).map { seed in
            try exerciser("churn", directory.path, capacity, seed: UInt64(seed), 150)
        }
        for number in 0..<UInt64(150) {
            let bytes = chunks.bytes(number)
            let id = SampleChunks.id(bytes)
            _ = try await store.putUnlessFull(id, bytes)
            if let found = try store.read(id) { #expect(found == bytes) }
            #expect(directory.bytes <= capacity)
        }
        for other in others { try await other.wait().succeeded() }
        #expect(directory.bytes <= capacity)
        #expect(store.statistics.resets == 0)
        await store.close()
        try await expectSound(directory)
    }

    @Test func aProcessThatJoinsTakesTheCapacityOfTheOthers() async throws {
        let directory = try TemporaryDirectory()
        let store = try openStore(directory, capacity: capacity)
        try await exerciser("churn", directory.path, 8 * capacity, seed: 5, 200).wait().succeeded()
        #expect(directory.bytes <= capacity)
        await store.close()
    }

    @Test func aWriterThatIsKilledHarmsNobody() async throws {
        let directory = try TemporaryDirectory()
        let store = try openStore(directory, capacity: capacity)
        for seed in 0..<6 {
            let victim = try exerciser("churn", directory.path, capacity, seed: UInt64(seed), 0)
            _ = try await victim.firstLine()
            for number in 0..<UInt64(10) {
                let bytes = chunks.bytes(number)
                _ = try await store.putUnlessFull(SampleChunks.id(bytes), bytes)
            }
            victim.kill()
            let bytes = chunks.bytes(UInt64(1000 + seed))
            #expect(try await store.put(SampleChunks.id(bytes), bytes) == .created)
            #expect(try store.read(SampleChunks.id(bytes)) == bytes)
        }
        await store.close()
        try await expectSound(directory)
    }

    @Test func aStoreWhoseOnlyUserIsKilledOpensWithItsContent() async throws {
        let directory = try TemporaryDirectory()
        for seed in 0..<6 {
            let victim = try exerciser("churn", directory.path, capacity, seed: UInt64(seed), 0)
            _ = try await victim.firstLine()
            victim.kill()
            let store = try openStore(directory, capacity: capacity)
            #expect(store.statistics.resets == 0)
            #expect(store.statistics.chunks > 0)
            await store.close()
        }
    }

    @Test func damagedFilesNeverCrashAndNeverGiveWrongBytes() async throws {
        let seed = UInt64.random(in: 0..<1 << 40)
        let directory = try TemporaryDirectory()
        let template = directory("template")
        try await exerciser("churn", template, 6 << 20, seed: 7, 200).wait().succeeded()
        try await exerciser("fuzz", template, 6 << 20, seed: seed, 25).wait().succeeded()
    }

    /// On tmpfs, where a map that is written to leaves no time behind: LMDB meets damage that no look at the file tells
    /// of.
    @Test func damageInUseNeverCrashesAndNeverGivesWrongBytes() async throws {
        let seed = UInt64.random(in: 0..<1 << 40)
        let directory = try TemporaryDirectory(in: TemporaryDirectory.parentInMemory)
        try await exerciser("live", directory.path, 6 << 20, seed: seed, 20).wait().succeeded()
    }

    /// Starts `store-exerciser`, the other process of these tests.
    private func exerciser(
        _ work: String, _ store: String, _ capacity: UInt64, seed: UInt64, _ count: Int
    ) throws -> ChildProcess {
        try ChildProcess(built: "store-exerciser", [work, store, "\(capacity)", "\(seed)", "\(count)"])
    }

    private func expectSound(_ directory: TemporaryDirectory) async throws {
        let store = try openStore(directory, capacity: capacity)
        #expect(store.statistics.resets == 0)
        #expect(store.statistics.chunks > 0)
        await store.close()
    }
}
