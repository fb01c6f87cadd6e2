import CacheCore
import Glibc
import NIOCore
import Testing

@testable import store_exerciser

/// Other processes: beside this one, killed, and with damaged files. They are real.
@Suite struct SharedDirectoryTests {
    private let chunks = SampleChunks()
    private let capacity = UInt64(12 << 20)

    @Test func severalProcessesShareADirectory() async throws {
        let directory = try ScratchDirectory()
        let store = try openStore(directory, capacity: capacity)
        let others = try (1...3).map { seed in
            try Exerciser(["churn", directory.path, "\(capacity)", "\(seed)", "150"])
        }
        for number in 0..<UInt64(150) {
            let bytes = chunks.bytes(number)
            let id = SampleChunks.id(bytes)
            _ = try await store.putUnlessFull(id, bytes)
            if let found = try store.read(id) { #expect(found == bytes) }
            #expect(directory.bytes <= capacity)
        }
        for other in others {
            let end = other.wait()
            #expect(end.status == 0, "\(end.output)")
        }
        #expect(directory.bytes <= capacity && store.statistics.faults.resets == 0)
        await store.close()
        try await expectSound(directory)
    }

    @Test func aProcessThatJoinsTakesTheCapacityOfTheOthers() async throws {
        let directory = try ScratchDirectory()
        let store = try openStore(directory, capacity: capacity)
        let other = try Exerciser(["churn", directory.path, "\(8 * capacity)", "5", "200"])
        #expect(other.wait().status == 0)
        #expect(directory.bytes <= capacity)
        await store.close()
    }

    @Test func aWriterThatIsKilledHarmsNoOtherProcess() async throws {
        let directory = try ScratchDirectory()
        let store = try openStore(directory, capacity: capacity)
        for seed in 0..<6 {
            let victim = try Exerciser(["churn", directory.path, "\(capacity)", "\(seed)", "0"])
            victim.waitForOutput()
            for number in 0..<UInt64(10) {
                let bytes = chunks.bytes(number)
                _ = try await store.putUnlessFull(SampleChunks.id(bytes), bytes)
            }
            kill(victim.process, SIGKILL)
            _ = victim.wait()
            let bytes = chunks.bytes(UInt64(1000 + seed))
            #expect(try await store.put(SampleChunks.id(bytes), bytes) == .created)
            #expect(try store.read(SampleChunks.id(bytes)) == bytes)
        }
        await store.close()
        try await expectSound(directory)
    }

    @Test func aStoreWhoseOnlyUserIsKilledOpensWithItsContent() async throws {
        let directory = try ScratchDirectory()
        for seed in 0..<6 {
            let victim = try Exerciser(["churn", directory.path, "\(capacity)", "\(seed)", "0"])
            victim.waitForOutput()
            kill(victim.process, SIGKILL)
            _ = victim.wait()
            let store = try openStore(directory, capacity: capacity)
            #expect(store.statistics.faults.resets == 0 && store.statistics.chunks > 0)
            await store.close()
        }
    }

    @Test func damagedFilesNeverCrashAndNeverGiveWrongBytes() async throws {
        let seed = UInt64.random(in: 0..<1 << 40)
        let directory = try ScratchDirectory()
        let template = try Exerciser(["churn", directory.path, "\(6 << 20)", "7", "200"])
        #expect(template.wait().status == 0)
        let fuzz = try Exerciser(["fuzz", directory.path, "\(6 << 20)", "\(seed)", "25"])
        let end = fuzz.wait()
        #expect(end.status == 0, "\(end.output)")
    }

    /// On tmpfs, where a map that is written to leaves no time behind: LMDB meets damage that no look at the file tells of.
    @Test func damageInUseNeverCrashesAndNeverGivesWrongBytes() async throws {
        let seed = UInt64.random(in: 0..<1 << 40)
        let directory = try ScratchDirectory(in: access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp")
        let live = try Exerciser(["live", directory.path, "\(6 << 20)", "\(seed)", "20"])
        let end = live.wait()
        #expect(end.status == 0, "\(end.output)")
    }

    private func expectSound(_ directory: ScratchDirectory) async throws {
        let store = try openStore(directory, capacity: capacity)
        #expect(store.statistics.faults.resets == 0 && store.statistics.chunks > 0)
        await store.close()
    }
}
