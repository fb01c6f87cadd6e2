import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// A device over tiers that are damaged, slow or away.
@Suite(.timeLimit(.minutes(10))) struct DeviceTierTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(4 << 19)
    }

    @Test func damageInL1IsHealedAndCounted() async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { try await fixture.expect(content, from: $0) }
        try #require(try await fixture.damage(fixture("l1")) == 4)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let device = try await fixture.device(cache)
            for slot in 0..<4 {
                #expect(try device.cached(at: UInt64(slot << 19), count: 512, reach: .disk) == nil)
                let found = try await device.bytes(slot << 19, 512)
                #expect(found == Array(content[slot << 19..<slot << 19 | 512]))
            }
            #expect(device.statistics.repaired == .init(l1: 4, l2: 0))
            #expect(device.statistics.tiers.l3.chunks == 4)
            await cache.flush()
        }
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let device = try await fixture.device(cache)
            for slot in 0..<4 {
                let bytes = try device.cached(at: UInt64(slot << 19), count: 512, reach: .disk)?.bytes
                #expect(bytes == Array(content[slot << 19..<slot << 19 | 512]))
            }
        }
    }

    @Test func damageInL2IsHealedAndCounted() async throws {
        try await fixture.push(content)
        try await fixture.withDaemon { url in
            try await fixture.withCache(l2: [url]) { cache in
                let found2 = try await fixture.device(cache).bytes(0, content.count)
                #expect(found2 == content)
                await cache.flush()
            }
        }
        try #require(try await fixture.damage(fixture("l2")) == 4)
        try await fixture.withDaemon { url in
            try await fixture.withCache(l2: [url]) { cache in
                let device = try await fixture.device(cache)
                let found3 = try await device.bytes(0, content.count)
                #expect(found3 == content)
                #expect(device.statistics.repaired == .init(l1: 0, l2: 4))
            }
        }
    }

    /// L2 may go at any moment, and reads go on from L3.
    @Test func l2ThatIsStopped() async throws {
        try await fixture.push(content)
        try await fixture.withDaemon { url in
            try await fixture.withCache(l2: [url]) { cache in
                let found4 = try await fixture.device(cache).bytes(0, content.count)
                #expect(found4 == content)
                await cache.flush()
            }
        }
        var gone = ""
        try await fixture.withDaemon { gone = $0 }
        try await fixture.withCache(l2: [gone]) { cache in
            let device = try await fixture.device(cache)
            let found5 = try await device.bytes(0, content.count)
            #expect(found5 == content)
            #expect(device.statistics.tiers.l3.chunks == 4)
        }
    }

    /// An error reaches the reader, and a later read tries again; what is in memory is there all the time.
    @Test(arguments: [FaultyObjectStore.Fault.failing, .corrupting, .losing])
    func l3ThatFails(_ fault: FaultyObjectStore.Fault) async throws {
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let device = try await fixture.device(cache)
            let found6 = try await device.bytes(0, 512)
            #expect(found6 == Array(content[..<512]))
            fixture.store.set(fault)
            for _ in 0..<3 {
                #expect(await cacheError { _ = try await device.read(at: 0, count: 4 << 19) } != nil)
                let found7 = try await device.bytes(0, 4096)
                #expect(found7 == Array(content[..<4096]))
            }
            fixture.store.set(.none)
            let found8 = try await device.bytes(0, content.count)
            #expect(found8 == content)
        }
    }

    @Test func readsOfAnL3ThatHangsEndInTime() async throws {
        try await fixture.push(content)
        let clock = ManualClock()
        try await fixture.withCache(time: TimeSource(clock)) {
            $0.l3Deadline = .seconds(5)
        } _: { cache in
            let device = try await fixture.device(cache)
            fixture.store.set(.hanging)
            try await clock.passing {
                let error = await cacheError { _ = try await device.read(at: 0, count: 4096) }
                #expect(error?.code == .timedOut)
            }
            fixture.store.set(.none)
            let found9 = try await device.bytes(0, 4096)
            #expect(found9 == Array(content[..<4096]))
        }
    }

    @Test func aReadIsCancelledAtOnce() async throws {
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let device = try await fixture.device(cache)
            let before = fixture.store.chunkReads
            fixture.store.set(.hanging)
            let read = Task { try await device.read(at: 0, count: 4 << 19) }
            await fixture.store.waitForReads(before + 1)
            read.cancel()
            await #expect(throws: CancellationError.self) { try await read.value }
            fixture.store.set(.none)
            let found10 = try await device.bytes(0, content.count)
            #expect(found10 == content)
        }
    }

    /// More readers than may wait for L3: those beyond are told so, and come again.
    @Test func overloadPassesToTheReader() async throws {
        try await fixture.push(content)
        try await fixture.withCache {
            $0.l3Concurrency = 1
            $0.l3Queue = 1
        } _: { cache in
            let device = try await fixture.device(cache)
            let before = fixture.store.chunkReads
            fixture.store.set(.hanging)
            async let first = device.read(at: 0, count: 512)
            await fixture.store.waitForReads(before + 1)
            async let second = device.read(at: 1 << 19, count: 512)
            try await eventually("full") { cache.reader.l3.isOverloaded }
            let error = await cacheError { _ = try await device.read(at: 2 << 19, count: 512) }
            #expect(error?.code == .overloaded)
            fixture.store.set(.none)
            _ = try await (first, second)
            let found11 = try await device.bytes(2 << 19, 512)
            #expect(found11 == Array(content[2 << 19..<2 << 19 | 512]))
        }
    }

    /// The disk of L1 takes long: a thread of a reader goes on without it.
    @Test func l1ThatIsSlowIsNotVisited() throws {
        let visits = VisitsUnderWay(places: 2)
        let first = try #require(visits.enter(now: .zero))
        let second = try #require(visits.enter(now: .milliseconds(50)))
        #expect(visits.enter(now: .milliseconds(60)) == nil)
        visits.leave(second)
        #expect(visits.enter(now: .milliseconds(101)) == nil)
        visits.leave(first)
        #expect(visits.enter(now: .milliseconds(101)) != nil)
    }
}
