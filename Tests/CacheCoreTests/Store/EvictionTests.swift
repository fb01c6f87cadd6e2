import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheStore
@testable import store_exerciser

/// What the two policies that are compared here have in common.
private protocol Policy {
    mutating func admit(_ id: ChunkID) -> StoreQueue
    func examine(_ occupancy: QueueOccupancy) -> StoreQueue
    mutating func judge(
        _ id: ChunkID, in queue: StoreQueue, frequency: UInt8, _ occupancy: QueueOccupancy
    ) -> EvictionVerdict
}

extension S3FIFO: Policy {}

/// Oldest out first, whatever was read: what S3-FIFO is measured against.
private struct PlainFIFO: Policy {
    mutating func admit(_ id: ChunkID) -> StoreQueue { .small }
    func examine(_ occupancy: QueueOccupancy) -> StoreQueue { .small }
    mutating func judge(
        _ id: ChunkID, in queue: StoreQueue, frequency: UInt8, _ occupancy: QueueOccupancy
    ) -> EvictionVerdict { .evict }
}

/// A cache of equal chunks in a few arrays: the store's loop around a policy, without the store.
private struct PolicyModel<Tested: Policy> {
    var policy: Tested
    let capacity: Int
    var queues: [[ChunkID]] = [[], []]
    var frequency: [ChunkID: UInt8] = [:]

    init(_ policy: Tested, capacity: Int) {
        self.policy = policy
        self.capacity = capacity
    }

    /// Asks for a chunk, and takes it in if it is not there; whether it was.
    mutating func ask(_ id: ChunkID) -> Bool {
        if let count = frequency[id] {
            frequency[id] = min(count + 1, S3FIFO.maximumFrequency)
            return true
        }
        while frequency.count >= capacity { evict() }
        queues[Int(policy.admit(id).rawValue)].append(id)
        frequency[id] = 0
        return false
    }

    private mutating func evict() {
        let occupancy = QueueOccupancy(
            smallBytes: UInt64(queues[0].count), mainBytes: UInt64(queues[1].count), mainChunks: UInt64(queues[1].count)
        )
        let queue = policy.examine(occupancy)
        let id = queues[Int(queue.rawValue)].removeFirst()
        switch policy.judge(id, in: queue, frequency: frequency[id] ?? 0, occupancy) {
        case .evict: frequency[id] = nil
        case .keep(let target, let left):
            frequency[id] = left
            queues[Int(target.rawValue)].append(id)
        }
    }
}

@Suite struct EvictionTests {
    private func id(_ number: UInt64) -> ChunkID { withUnsafeBytes(of: number) { ChunkID(ofSealed: $0) } }

    /// A day of skewed reads of a base set, a nightly wave of chunks that are read once, and the next morning.
    private func morningHits(_ policy: some Policy) -> Double {
        var model = PolicyModel(policy, capacity: 1_000)
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<20_000 { _ = model.ask(id(UInt64.random(in: 0..<600, using: &generator))) }
        for number in 0..<UInt64(5_000) { _ = model.ask(id(100_000 + number)) }
        let hits = (0..<UInt64(600)).filter { model.ask(id($0)) }
        return Double(hits.count) / 600
    }

    @Test func aNightlyScanDoesNotFlushTheBaseSet() {
        #expect(morningHits(PlainFIFO()) == 0)
        #expect(morningHits(S3FIFO(ghosts: 1_000)) >= 0.95)
    }

    @Test func aWorkingSetThatGrowsIsLearntThroughTheGhosts() {
        var model = PolicyModel(S3FIFO(ghosts: 1_000), capacity: 1_000)
        for number in 0..<UInt64(3_000) { _ = model.ask(id(number)) }
        // Too many for the small queue, few enough for the store: they must come to stay.
        for _ in 0..<6 { for number in 10_000..<UInt64(10_600) { _ = model.ask(id(number)) } }
        #expect((10_000..<UInt64(10_600)).allSatisfy { model.ask(id($0)) })
    }

    @Test func theStoreKeepsAHotSetThroughAScanAndARestart() async throws {
        let directory = try TemporaryDirectory()
        let chunks = SampleChunks()
        var store = try openStore(directory, capacity: 16 << 20)
        for number in 0..<UInt64(30) {
            let bytes = chunks.bytes(number, length: 100_000)
            _ = try await store.put(SampleChunks.id(bytes), bytes)
            for _ in 0..<2 { _ = try store.read(SampleChunks.id(bytes)) }
        }
        await store.close()
        // What was read is known after the restart, too.
        store = try openStore(directory, capacity: 16 << 20)
        for number in 1_000..<UInt64(1_400) {
            let bytes = chunks.bytes(number, length: 100_000)
            _ = try await store.put(SampleChunks.id(bytes), bytes)
        }
        let kept = try (0..<UInt64(30)).filter {
            try store.read(SampleChunks.id(chunks.bytes($0, length: 100_000))) != nil
        }
        #expect(kept.count == 30)
        await store.close()
    }

    @Test func readsOfOneImageStartCountOnce() {
        let table = FrequencyTable(slots: 1024, intervalSeconds: 30)
        let chunk = id(1)
        table.reset(chunk, now: 100)
        #expect(!table.touch(chunk, now: 100))
        #expect(!table.touch(chunk, now: 129))
        #expect(table.touch(chunk, now: 130))
        #expect(!table.touch(chunk, now: 140))
        #expect(table.touch(chunk, now: 160))
        #expect(table.take(chunk) == 2)
        #expect(table.take(chunk) == 0)
        for now in 0..<UInt32(10) { _ = table.touch(chunk, now: 1_000 + 40 * now) }
        #expect(table.take(chunk) == S3FIFO.maximumFrequency)
    }

    @Test func ghostsAreForgottenInTime() {
        var ghosts = GhostSet(slots: 64)
        ghosts.insert(id(1), window: 10)
        let found = [ghosts.remove(id(1)), ghosts.remove(id(1))]
        #expect(found == [true, false])
        ghosts.insert(id(1), window: 10)
        for number in 2..<UInt64(40) { ghosts.insert(id(number), window: 10) }
        let late = ghosts.remove(id(1))
        #expect(!late)
    }
}
