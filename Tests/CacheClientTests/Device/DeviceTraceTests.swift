import CacheCore
import Foundation
import Glibc
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// What is recorded while an image runs, and fetched ahead when it runs again elsewhere.
@Suite(.timeLimit(.minutes(10))) struct DeviceTraceTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(16 << 19)
    }

    /// Reads 4 KiB of each of these chunks, in order.
    private func touch(_ chunks: [Int], _ device: ImageDevice) async throws {
        for chunk in chunks {
            let bytes = try await device.bytes(chunk << 19 | 4096, 4096)
            #expect(bytes == Array(content[chunk << 19 | 4096..<chunk << 19 | 8192]))
        }
    }

    private func run(_ chunks: [Int], _ cache: LayerCache) async throws -> DeviceStatistics {
        let device = try await fixture.device(cache, DeviceOptions())
        await device.prefetched()
        try await touch(chunks, device)
        await device.close()
        return device.statistics
    }

    private func trace(_ cache: LayerCache) async throws -> ImageTrace? {
        try await cache.trace(of: try await fixture.image(cache))
    }

    @Test func theNextRunFetchesWhatTheFirstOneTouched() async throws {
        try await fixture.push(content)
        let first = try await fixture.withCache { cache in
            let statistics = try await run([9, 3, 3, 12, 0, 9], cache)
            let found = try await trace(cache)
            #expect(found == ImageTrace(chunks: [9, 3, 12, 0], runs: 1))
            return statistics
        }
        #expect(first.prefetch == .init(chunks: 0, used: 0))
        #expect(first.tiers.l3.chunks == 4)
        try await fixture.withCache { cache in
            let second = try await run([9, 12, 5], cache)
            #expect(second.prefetch == .init(chunks: 4, used: 2))
            #expect(second.tiers.l3.chunks == 5)
            #expect(second.tiers.memory.chunks == 2)
            // What a second run adds comes last.
            let found2 = try await trace(cache)
            #expect(found2 == ImageTrace(chunks: [9, 3, 12, 0, 5], runs: 2))
        }
        // Three runs are enough.
        for chunk in [6, 7, 8] { _ = try await fixture.withCache { try await run([chunk], $0) } }
        try await fixture.withCache { cache in
            let found3 = try await trace(cache)
            #expect(found3 == ImageTrace(chunks: [9, 3, 12, 0, 5, 6], runs: 3))
            let wasThere = try await cache.dropTrace(of: try await fixture.image(cache))
            #expect(wasThere)
            let found4 = try await trace(cache)
            #expect(found4 == nil)
            let isThere = try await cache.dropTrace(of: try await fixture.image(cache))
            #expect(!isThere)
        }
    }

    @Test func anEmptyTraceIsReplacedByTheNextRun() async throws {
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            try await cache.setTrace(ImageTrace(chunks: [1, 2], runs: 3), of: image)
            let found5 = try await run([4], cache).prefetch.chunks
            #expect(found5 == 2)
            try await cache.setTrace(ImageTrace(chunks: [], runs: 0), of: image)
            let found6 = try await run([4, 5], cache).prefetch.chunks
            #expect(found6 == 0)
            let found7 = try await trace(cache)
            #expect(found7 == ImageTrace(chunks: [4, 5], runs: 1))
        }
    }

    /// A run is recorded for a while only, and what is read later leaves no trace.
    @Test func recordingEndsAfterAWhile() async throws {
        try await fixture.push(content)
        let clock = ManualClock()
        try await fixture.withCache(time: TimeSource(clock)) { cache in
            let device = try await fixture.device(cache, DeviceOptions())
            await device.prefetched()
            try await touch([2, 1], device)
            // Twice, since the clock may have gone before the task slept.
            try await eventually("recorded") {
                clock.advance(by: .seconds(61))
                return try await trace(cache) != nil
            }
            try await touch([7], device)
            await device.close()
            let found8 = try await trace(cache)
            #expect(found8 == ImageTrace(chunks: [2, 1], runs: 1))
        }
    }

    @Test func nothingIsRecordedIfNobodyWantsIt() async throws {
        try await fixture.push(content)
        try await fixture.withCache { cache in
            let device = try await fixture.device(cache, DeviceOptions(records: false))
            try await touch([2, 1], device)
            await device.close()
            let found9 = try await trace(cache)
            #expect(found9 == nil)
            // Nor if nothing was read.
            await (try await fixture.device(cache, DeviceOptions())).close()
            let found10 = try await trace(cache)
            #expect(found10 == nil)
        }
    }

    /// A host that may not write to L3 keeps what it recorded.
    @Test func aHostKeepsWhatL3DoesNotTake() async throws {
        try await fixture.push(content)
        let readOnly = FaultyObjectStore(fixture.store) { call, _, moment in
            if moment == .before, ["put", "replace", "delete"].contains(call) {
                throw CacheError(.io, "\(call): permission denied")
            }
        }
        for (chunks, expected) in [
            ([9, 3], ImageTrace(chunks: [9, 3], runs: 1)), ([5], ImageTrace(chunks: [9, 3, 5], runs: 2)),
        ] {
            try await fixture.withCache(l1: fixture("l1")) {
                $0.l3 = readOnly
            } _: { cache in
                _ = try await run(chunks, cache)
                let found11 = try await trace(cache)
                #expect(found11 == expected)
            }
        }
        try await fixture.withCache { cache in
            let trace = try await trace(cache)
            #expect(trace == nil)
        }
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let image = try await fixture.image(cache)
            let found12 = try await run([9], cache).prefetch.chunks
            #expect(found12 == 3)
            #expect(try await cache.dropTrace(of: image))
            let found13 = try await trace(cache)
            #expect(found13 == nil)
        }
    }

    /// A device goes on without a trace that is of no use, and replaces it.
    @Test(arguments: [0, 70, 150]) func aDamagedTraceIsNoTrace(at place: Int) async throws {
        try await fixture.push(content)
        _ = try await fixture.withCache { try await run([9, 3, 12], $0) }
        let file = try #require(
            FileManager.default.subpathsOfDirectory(atPath: fixture("l3")).first {
                $0.contains("/traces/") && $0.split(separator: "/").last?.count == 64
            })
        let url = URL(fileURLWithPath: fixture("l3/\(file)"))
        var bytes = try Data(contentsOf: url)
        bytes[place % bytes.count] ^= 1
        try bytes.write(to: url)
        try await fixture.withCache { cache in
            let error = await cacheError { _ = try await trace(cache) }
            #expect(error?.code == .corrupt)
            let found14 = try await run([1], cache).prefetch.chunks
            #expect(found14 == 0)
            let found15 = try await trace(cache)
            #expect(found15 == ImageTrace(chunks: [1], runs: 1))
        }
    }

    /// As of another image, whose device has more chunks.
    @Test func aTraceBeyondTheDeviceIsNotUsed() async throws {
        try await fixture.push(content)
        try await fixture.withCache { cache in
            try await cache.setTrace(ImageTrace(chunks: [1, 16], runs: 3), of: try await fixture.image(cache))
            let found16 = try await run([2], cache).prefetch.chunks
            #expect(found16 == 0)
        }
    }

    @Test func noTraceWhileL3IsAway() async throws {
        try await fixture.push(content)
        _ = try await fixture.withCache(l1: fixture("l1")) { cache in
            _ = try await run([9], cache)
            try await fixture.expect(content, from: cache)
        }
        let away = FaultyObjectStore(fixture.store) { _, _, _ in throw CacheError(.io, "away") }
        try await fixture.withCache(l1: fixture("l1")) {
            $0.l3 = away
        } _: { cache in
            let statistics = try await run([9, 2], cache)
            #expect(statistics.prefetch.chunks == 0)
            #expect(statistics.tiers.l1.chunks == 2)
        }
    }
}
