import CacheCore
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// An L1 that cannot be used costs its deadline at most, and no read.
@Suite(.timeLimit(.minutes(10))) struct L1TierTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(3_000_000)
    }

    /// As by a process that was stopped while it opened the store.
    @Test func aLockThatSomebodyHolds() async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { try await fixture.expect(content, from: $0) }
        let gate = open(fixture("l1/open.lock"), O_RDWR)
        try #require(gate >= 0)
        try #require(flock(gate, LOCK_EX) == 0)
        let clock = ManualClock()
        try await clock.passing {
            try await fixture.withCache(l1: fixture("l1"), time: TimeSource(clock)) {
                $0.l1Deadline = .seconds(5)
                $0.l3Deadline = .seconds(1_000_000)
                $0.refDeadline = .seconds(1_000_000)
            } _: { cache in
                #expect(cache.l1Statistics == nil)
                let counts = try await fixture.expect(content, from: cache)
                #expect(counts.l3.chunks == 6)
            }
        }
        close(gate)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let counts = try await fixture.expect(content, from: cache)
            #expect(counts.l1.chunks == 6)
        }
    }

    /// Closing the store does not wait for a process that holds the lock for opening it.
    @Test func closingTakesNoLock() async throws {
        try await fixture.push(content)
        var gate: Int32 = -1
        try await fixture.withCache(l1: fixture("l1")) { cache in
            try await fixture.expect(content, from: cache)
            gate = open(fixture("l1/open.lock"), O_RDWR)
            try #require(gate >= 0)
            try #require(flock(gate, LOCK_EX) == 0)
        }
        close(gate)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let counts = try await fixture.expect(content, from: cache)
            #expect(counts.l1.chunks == 6)
        }
    }

    /// Two chunks at once are what each is by itself: found, damaged, or not there.
    @Test func twoAtOnce() async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { try await fixture.expect(content, from: $0) }
        try #require(try await fixture.damage(fixture("l1"), chunks: 2) == 2)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let l1 = try #require(cache.reader.l1)
            let refs = try #require(try await fixture.image(cache).layers.first).manifest.data
            #expect(refs.count == 6)
            let absent = ChunkRef(
                id: ChunkID(.zero), key: refs[0].key, plainLength: 9, sealedLength: 9, codec: .raw)
            var dropped = 0
            for (number, ref) in refs.enumerated() {
                let start = number * ChunkLimits.plainBytes
                let plain = content[start..<min(start + ChunkLimits.plainBytes, content.count)]
                for other in [absent, refs[(number + 1) % refs.count]] {
                    for isFirst in [true, false] {
                        var answers: [Bool: TierAnswer] = [:]
                        l1.getAtOnce(isFirst ? ref : other, isFirst ? other : ref) { answers[$0] = $1 }
                        #expect(answers.count == 2)
                        switch answers[!isFirst] {
                        case .hit(let bytes): #expect(bytes.readableBytesView.elementsEqual(plain))
                        case .miss(let isDropped): dropped += isDropped ? 1 : 0
                        default: Issue.record("L1 must answer")
                        }
                        if case .miss(true) = answers[isFirst] { dropped += 1 }
                        if other == absent, case .hit = answers[isFirst] { Issue.record("it is not there") }
                    }
                }
            }
            // Each is dropped, and said to be, once.
            #expect(dropped == 2)
        }
    }

    @Test func openingCanBeCancelled() async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { _ in }
        let gate = open(fixture("l1/open.lock"), O_RDWR)
        try #require(gate >= 0)
        try #require(flock(gate, LOCK_EX) == 0)
        let opening = Task { try await fixture.withCache(l1: fixture("l1")) { _ in } }
        opening.cancel()
        await #expect(throws: CancellationError.self) { try await opening.value }
        close(gate)
    }

    @Test(arguments: ["/proc/layercache", "/sys/layercache", "/proc/self/fdinfo"])
    func aPlaceThatTakesNoFiles(_ place: String) async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: place) { cache in
            #expect(cache.l1Statistics == nil)
            let counts = try await fixture.expect(content, from: cache)
            #expect(counts.l3.chunks == 6)
        }
    }

    @Test func aPathThatCanNeverBeADirectoryIsAMistake() async throws {
        try Data().write(to: URL(fileURLWithPath: fixture("file")))
        for path in [fixture("file"), fixture("file/below"), fixture(String(repeating: "n", count: 300))] {
            #expect(DirectoryPath.canNeverBe(path))
            let error = await cacheError { try await fixture.withCache(l1: path) { _ in } }
            #expect(error?.message.contains("another directory") == true)
        }
        #expect(!DirectoryPath.canNeverBe(fixture.path))
        #expect(!DirectoryPath.canNeverBe(fixture("new/one")))
    }
}
