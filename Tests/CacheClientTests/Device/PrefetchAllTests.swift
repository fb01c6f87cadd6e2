import CacheCore
import Foundation
import Glibc
import Logging
import TestSupport
import Testing

@testable import CacheClient

/// All of an image is brought to L1, without a hole and without being opened.
@Suite(.timeLimit(.minutes(10))) struct PrefetchAllTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(16 << 19)
    }

    private static let all = DeviceOptions(prefetch: .all, records: false)

    /// Reads the whole image with L1 alone: neither L2 nor L3 gives a chunk.
    private func expectWhole(_ device: (LayerCache) async throws -> ImageDevice, _ expected: [UInt8]? = nil)
        async throws
    {
        fixture.store.set(.losing)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let device = try await device(cache)
            let found = try await device.bytes(0, Int(device.byteCount))
            #expect(found == expected ?? content)
            let tiers = device.statistics.tiers
            #expect(tiers.l2.chunks == 0 && tiers.l3.chunks == 0 && tiers.l1.chunks > 0)
        }
        fixture.store.set(.none)
    }

    /// The image as a device has it, and what a prefetch of all counts.
    private func prefetch(
        _ cache: LayerCache, touched: [Int] = [], logger: Logger = .quiet
    ) async throws -> (chunks: Int, used: Int) {
        let chunks = try await chunks(cache)
        let touches = ChunkTouches(count: chunks.map.chunkCount, isRecording: false)
        for number in touched { touches.touch(number) }
        await Prefetcher(chunks: chunks, touches: touches, share: cache.devices.prefetch, logger: logger)
            .run(nil, all: true)
        return touches.prefetched
    }

    private func chunks(_ cache: LayerCache) async throws -> DeviceChunks {
        let (map, _) = try await cache.map(of: try await fixture.image(cache))
        return DeviceChunks(
            map: map, reader: cache.reader, counter: ReadCounter(parent: nil), landed: cache.devices.landed,
            remake: nil)
    }

    @Test func everyChunkIsInL1AndNoneInMemory() async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let device = try await fixture.device(cache, Self.all)
            await device.prefetched()
            #expect(cache.l1Statistics?.chunks ?? 0 >= 16)
            #expect(cache.memoryUsage.chunks == 0)
            let statistics = device.statistics
            #expect(statistics.prefetch == .init(chunks: 16, used: 0))
            #expect(statistics.tiers.l3.chunks == 16)
            #expect(cache.droppedFills == (l1: 0, l2: 0))
        }
        try await expectWhole { try await fixture.device($0) }
    }

    /// Files in packs, stretches that share chunks, zeros, and the metadata.
    @Test func aFilesystemToo() async throws {
        try await fixture.pushForDevice()
        let assembled = try await fixture.withCache(l1: fixture("l1")) { cache in
            let assembled = try await fixture.assembled(cache)
            let device = try cache.device(of: assembled.image, layout: assembled.layout, Self.all)
            await device.prefetched()
            return assembled
        }
        try await expectWhole(
            { cache in
                let image = try await fixture.image(cache)
                return try cache.device(of: image, layout: assembled.layout, .quiet)
            }, assembled.bytes)
    }

    /// A second one finds all there: nothing is fetched, and nothing counted.
    @Test func nothingIsBroughtTwice() async throws {
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let image = try await fixture.image(cache)
            let devices = try await [cache.device(of: image, Self.all), cache.device(of: image, Self.all)]
            for device in devices { await device.prefetched() }
            let last = try await cache.device(of: image, Self.all)
            await last.prefetched()
            #expect(last.statistics.prefetch == .init(chunks: 0, used: 0))
        }
        #expect(fixture.store.chunkReads == before + 16)
    }

    /// What a reader has come to counts as its own, but L1 must have it in the end: its fill may have been dropped.
    @Test func whatReadersTouchedIsNoHole() async throws {
        try await fixture.push(content)
        try await fixture.withCache(l1: fixture("l1")) { cache in
            let counted = try await prefetch(cache, touched: [3, 11])
            #expect(counted == (chunks: 14, used: 0))
        }
        try await expectWhole { try await fixture.device($0) }
    }

    /// A reader that comes to a chunk on its way to L1 waits for that, and opens it.
    @Test func aReaderTakesWhatIsOnItsWay() async throws {
        try await fixture.push(content)
        let before = fixture.store.chunkReads
        try await fixture.withCache(l1: fixture("l1")) {
            $0.l3Concurrency = 2
        } _: { cache in
            fixture.store.set(.hanging)
            let device = try await fixture.device(cache, Self.all)
            await fixture.store.waitForReads(before + 1)
            async let first = device.bytes(5, 512)
            try await eventually("a reader that waits") { cache.reader.load.readers == 2 }
            fixture.store.set(.none)
            let found = try await first
            #expect(found == Array(content[5..<517]))
            await device.prefetched()
            #expect(device.statistics.tiers.l3.chunks == 16)
            #expect(device.statistics.prefetch == .init(chunks: 16, used: 1))
        }
        #expect(fixture.store.chunkReads == before + 16)
        try await expectWhole { try await fixture.device($0) }
    }

    @Test func damageInL2IsHealedAndCounted() async throws {
        try await fixture.push(content)
        try await fixture.withDaemon { url in
            try await fixture.withCache(l2: [url]) { try await fixture.expect(content, from: $0) }
        }
        try #require(try await fixture.damage(fixture("l2")) == 16)
        try await fixture.withDaemon { url in
            try await fixture.withCache(l1: fixture("l1"), l2: [url]) { cache in
                let device = try await fixture.device(cache, Self.all)
                await device.prefetched()
                #expect(device.statistics.repaired == .init(l1: 0, l2: 16))
                #expect(device.statistics.tiers.l3.chunks == 16)
                await cache.flush()
            }
            fixture.store.set(.losing)
            try await fixture.withCache(l2: [url]) { cache in
                let device = try await fixture.device(cache)
                let found = try await device.bytes(0, content.count)
                #expect(found == content)
                #expect(device.statistics.tiers.l2.chunks == 16)
            }
            fixture.store.set(.none)
        }
        try await expectWhole { try await fixture.device($0) }
    }

    /// A damaged copy in L3 never reaches L1.
    @Test func damageInL3IsTold() async throws {
        try await fixture.push(content)
        let lines = Begun()
        try await fixture.withCache(l1: fixture("l1")) { cache in
            _ = try await fixture.image(cache)
            await cache.flush()
            let before = cache.l1Statistics?.chunks
            fixture.store.set(.corrupting)
            let counted = try await prefetch(cache, logger: Logger(lines))
            #expect(counted == (chunks: 0, used: 0))
            #expect(cache.l1Statistics?.chunks == before)
            #expect(lines.names.count == 1)
            #expect(lines.names.first?.contains("push the image again with --repair") == true)
            fixture.store.set(.none)
        }
    }

    private static let canMount = geteuid() == 0

    /// L1's disk is full: one line says so, and L3 is not read for nothing.
    @Test(.enabled(if: canMount, "mounting a small tmpfs needs root"))
    func anL1ThatTakesNothing() async throws {
        try await fixture.push(content)
        let directory = fixture("small")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        try #require(mount("tmpfs", directory, "tmpfs", 0, "size=8m") == 0)
        defer { umount2(directory, Int32(MNT_DETACH)) }
        let before = fixture.store.chunkReads
        let lines = Begun()
        try await fixture.withCache(l1: directory) {
            $0.l3Concurrency = 1
        } _: { cache in
            try #require(cache.l1Statistics != nil)
            _ = try await fixture.image(cache)
            await cache.flush()
            // Another program takes all the rest of the disk.
            let ballast = open("\(directory)/ballast", O_WRONLY | O_CREAT, 0o600)
            let zeros = [UInt8](repeating: 0, count: 4096)
            while write(ballast, zeros, zeros.count) > 0 {}
            close(ballast)
            let counted = try await prefetch(cache, logger: Logger(lines))
            #expect(counted == (chunks: 0, used: 0))
            #expect(lines.names.count == 1)
            #expect(lines.names.first?.contains("L1 does not take chunk") == true)
        }
        #expect(fixture.store.chunkReads < before + 16)
    }
}

extension Logger {
    /// Adds each warning, with its error, to `lines`.
    fileprivate init(_ lines: Begun) {
        self.init(label: "test") { _ in WarningHandler(lines: lines) }
    }
}

private struct WarningHandler: LogHandler {
    let lines: Begun
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.add("\(event.message) \(event.metadata ?? [:])") }
}
