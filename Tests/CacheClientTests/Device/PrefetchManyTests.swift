import CacheCore
import Foundation
import TestSupport
import Testing

@testable import CacheClient

/// Many devices of one cache that fetch ahead at once.
@Suite(.timeLimit(.minutes(10))) struct PrefetchManyTests {
    private static let count = 12
    private static let chunks = 8
    private let fixture: ClientFixture

    init() throws { fixture = try ClientFixture() }

    private static let all = DeviceOptions(prefetch: .all, records: false)

    /// Images of ``chunks`` chunks each that have nothing in common.
    private func push(_ count: Int, chunks: Int = Self.chunks) async throws -> [(ImageReference, [UInt8])] {
        let content = fixture.bytes(count * chunks << 19)
        var images: [(ImageReference, [UInt8])] = []
        for number in 0..<count {
            let bytes = Array(content[number * chunks << 19..<(number + 1) * chunks << 19])
            try Data(bytes).write(to: URL(fileURLWithPath: fixture("source\(number)")))
            let reference = try ImageReference(parsing: "acme/image\(number):1")
            _ = try await ImagePusher(
                store: fixture.store, tenant: try fixture.keyring.keys(for: reference.tenant),
                deployment: try fixture.keyring.requireDeploymentKey(), options: PushOptions()
            ).push(try ImageSource.open(.file(fixture("source\(number)"))), as: reference)
            images.append((reference, bytes))
        }
        return images
    }

    private func device(
        _ cache: LayerCache, _ reference: ImageReference, _ options: DeviceOptions
    ) async throws -> ImageDevice {
        try await cache.device(of: try await cache.image(reference, keyring: fixture.keyring), options)
    }

    /// Twelve images at once have no more under way than one.
    @Test func whatIsUnderWayIsBoundedForAllTogether() async throws {
        let images = try await push(Self.count)
        let before = fixture.store.chunkReads
        try await fixture.withCache(l1: fixture("l1")) {
            $0.l3Concurrency = 8
        } _: { cache in
            fixture.store.set(.hanging)
            var devices: [ImageDevice] = []
            for (reference, _) in images { devices.append(try await device(cache, reference, Self.all)) }
            try await eventually("all that wait") { cache.devices.prefetch.waiting == Self.count }
            #expect(fixture.store.chunkReads == before + 5)
            fixture.store.set(.none)
            for device in devices { await device.prefetched() }
            #expect(fixture.store.chunkReads == before + Self.count * Self.chunks)
            #expect(cache.memoryUsage.chunks == 0)
            fixture.store.set(.losing)
            for (device, image) in zip(devices, images) {
                let found = try await device.bytes(0, image.1.count)
                #expect(found == image.1)
            }
            fixture.store.set(.none)
        }
    }

    /// Half of them are closed while L3 hangs: they leave at once, and the others have all that there is.
    @Test func aDeviceThatIsClosedLeavesItsPlaceToOthers() async throws {
        let images = try await push(4)
        try await fixture.withCache(l1: fixture("l1")) {
            $0.l3Concurrency = 4
        } _: { cache in
            fixture.store.set(.hanging)
            var devices: [ImageDevice] = []
            for (reference, _) in images { devices.append(try await device(cache, reference, Self.all)) }
            try await eventually("all that wait") { cache.devices.prefetch.waiting == 4 }
            for device in devices.prefix(2) { await device.close() }
            try await eventually("those that are left") { cache.devices.prefetch.waiting <= 2 }
            fixture.store.set(.none)
            for device in devices.suffix(2) {
                await device.prefetched()
                #expect(device.statistics.prefetch.chunks == Self.chunks)
            }
            for device in devices.prefix(2) { #expect(device.statistics.prefetch.chunks < Self.chunks) }
            // What they held is there again: all of it can be under way.
            for _ in 0..<3 {
                try await cache.devices.prefetch.begin(
                    isTraced: false, standingBackAt: cache.reader.load.demand, cache.deadlines)
            }
        }
    }

    /// The trace of an image that was just opened does not wait for one that is fetched as a whole.
    @Test func aTraceOvertakesAHugeImage() async throws {
        let huge = try await push(1, chunks: 64)[0].0
        let content = fixture.bytes(8 << 19).reversed() as [UInt8]
        try await fixture.push(content)
        let names = try await fixture.withCache { cache in
            let image = try await fixture.image(cache)
            try await cache.setTrace(ImageTrace(chunks: [5, 2, 7, 0], runs: 3), of: image)
            let layer = try #require(image.layers.first)
            return [5, 2, 7, 0].map { layer.manifest.data[$0].id.hex }
        }
        let asked = Begun()
        let store = FaultyObjectStore(fixture.store) { call, name, moment in
            if moment == .before, call == "get", name.contains("/chunks/") { asked.add(name) }
        }
        try await fixture.withCache(l1: fixture("l1")) {
            $0.l3 = store
            $0.l3Concurrency = 1
        } _: { cache in
            store.set(.hanging)
            let first = try await device(cache, huge, Self.all)
            try await eventually("the huge one to wait") { cache.devices.prefetch.waiting == 1 }
            let second = try await fixture.device(cache, DeviceOptions(records: false))
            try await eventually("both to wait") { cache.devices.prefetch.waiting == 2 }
            store.set(.none)
            await second.prefetched()
            let last = asked.names.lastIndex { name in names.contains { name.hasSuffix($0) } }
            #expect(second.statistics.prefetch.chunks == 4)
            // A turn between two of its own, at most.
            #expect(try #require(last) <= 8)
            await first.prefetched()
            #expect(first.statistics.prefetch.chunks == 64)
        }
    }

    /// While a read waits for L3, none of many devices begins anything.
    @Test func demandGoesFirst() async throws {
        let images = try await push(5)
        let clock = ManualClock()
        let before = fixture.store.chunkReads
        try await fixture.withCache(l1: fixture("l1"), time: TimeSource(clock)) { cache in
            let reader = try await device(cache, images[0].0, .quiet)
            fixture.store.set(.hanging)
            async let read = reader.bytes(3 << 19, 512)
            await fixture.store.waitForReads(before + 1)
            var devices: [ImageDevice] = []
            for (reference, _) in images.dropFirst() {
                devices.append(try await device(cache, reference, Self.all))
            }
            try await eventually("all that wait") {
                cache.reader.load.demand.standingBack == 1 && cache.devices.prefetch.waiting == 3
            }
            #expect(fixture.store.chunkReads == before + 1)
            fixture.store.set(.none)
            let found = try await read
            #expect(found == Array(images[0].1[3 << 19..<3 << 19 | 512]))
            for device in devices {
                await device.prefetched()
                #expect(device.statistics.prefetch.chunks == Self.chunks)
            }
        }
    }
}
