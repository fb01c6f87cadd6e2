import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

@testable import CacheClient

/// The layout of an image's device: as it was pushed, or made on the host.
@Suite(.timeLimit(.minutes(10))) struct LayoutTests {
    private let fixture: ClientFixture
    private let store: FaultyObjectStore

    init() throws {
        fixture = try ClientFixture()
        store = FaultyObjectStore(fixture.store, scope: .everything)
    }

    private func files(_ prefix: String) throws {
        let directory = fixture("tree")
        try? FileManager.default.removeItem(atPath: directory)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        for number in 0..<200 {
            try Data("\(prefix) \(number)".utf8).write(to: URL(fileURLWithPath: "\(directory)/\(prefix)-\(number)"))
        }
        try Data(fixture.bytes(700_000)).write(to: URL(fileURLWithPath: "\(directory)/large"))
    }

    @discardableResult
    private func push(_ prefix: String = "file") async throws -> PushReport {
        try files(prefix)
        return try await fixture.push(.directory(fixture("tree")))
    }

    /// Makes the ref name the image as a version would have pushed it that made no index.
    private func forgetIndex() async throws {
        let reference = try fixture.reference
        let keys = try fixture.keyring.keys(for: reference.tenant)
        let record = try #require(try await RefStore(fixture.store).read(reference))
        let image = try await ImageManifest.load(
            record.manifest, from: fixture.store, generation: record.generation, keys: keys)
        #expect(image.index != nil)
        let old = ImageManifest(
            source: image.source, generation: image.generation, layers: image.layers,
            configuration: image.configuration, annotations: image.annotations)
        let (id, sealed) = try old.seal(with: keys)
        _ = try await fixture.store.putIfAbsent(L3Layout.manifest(id, in: record.generation), sealed)
        try await RefStore(fixture.store).set(
            reference, to: RefRecord(generation: record.generation, manifest: id, setAt: 1))
    }

    private func withCache<R>(l1: String? = "l1", _ body: (LayerCache) async throws -> R) async throws -> R {
        try await fixture.withCache(l1: l1.map { fixture($0) }) {
            $0.l3 = store
        } _: {
            try await body($0)
        }
    }

    /// The metadata region, read as a device does: out of the tiers, or made again.
    private func metadata(_ layout: DeviceLayout, _ image: CachedImage) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for (number, ref) in layout.metadata.enumerated() {
            let request = ChunkRequest(
                ref: ref, generation: layout.generation, counter: image.origin.counter)
            do { bytes += try await image.origin.reader.chunk(request).readableBytesView } catch let error as CacheError
            {
                guard error.code == .missing, let remake = layout.remake else { throw error }
                bytes += try await remake(number).readableBytesView
            }
        }
        return bytes
    }

    @Test func aPushedLayoutIsRead() async throws {
        let report = try await push()
        try await withCache { cache in
            let image = try await fixture.image(cache)
            let layout = try await cache.layout(of: image)
            #expect(layout.remake == nil)
            #expect(layout.byteCount == report.index?.deviceBytes)
            #expect(layout.extents.count == 1)
            let bytes = try await metadata(layout, image)
            #expect(bytes.count == Int(layout.metadataBytes))
            // The magic number of EROFS.
            #expect(bytes[1024..<1028] == [0xE2, 0xE1, 0xF5, 0xE0])
            // Neither the files nor their tables were read.
            #expect(store.reads("/chunks/") == layout.metadata.count)
        }
    }

    /// The same device, made on this host.
    @Test(arguments: [true, false]) func anImageWithoutAnIndexGetsOne(_ hasL1: Bool) async throws {
        try await push()
        let (pushed, shape) = try await withCache(l1: nil) { cache in
            let image = try await fixture.image(cache)
            let layout = try await cache.layout(of: image)
            return (try await metadata(layout, image), layout)
        }
        try await forgetIndex()
        try await withCache(l1: hasL1 ? "l1" : nil) { cache in
            let image = try await fixture.image(cache)
            let layout = try await cache.layout(of: image)
            #expect(layout.remake != nil)
            #expect(layout.byteCount == shape.byteCount)
            #expect(layout.extents == shape.extents)
            #expect(try await metadata(layout, image) == pushed)
        }
    }

    @Test func anIndexMadeHereIsFoundAgain() async throws {
        try await push()
        try await forgetIndex()
        let first = try await withCache { cache in
            let image = try await fixture.image(cache)
            return try await metadata(try await cache.layout(of: image), image)
        }
        // All that it needs is in L1 now, of this process or of another.
        store.set(.failing)
        try await withCache { cache in
            let image = try await fixture.image(cache)
            let layout = try await cache.layout(of: image)
            #expect(try await metadata(layout, image) == first)
            // Nor were the entry tables read again.
            #expect(image.counts.l1.chunks == layout.metadata.count { !$0.isZero })
        }
    }

    /// L1 has lost the chunks, and the index with them: it is made again, and again while the device is open.
    @Test func whatL1LosesIsMadeAgain() async throws {
        try await push()
        try await forgetIndex()
        let first = try await withCache { cache in
            let image = try await fixture.image(cache)
            return try await metadata(try await cache.layout(of: image), image)
        }
        try FileManager.default.removeItem(atPath: fixture("l1/data.mdb"))
        try await withCache { cache in
            let image = try await fixture.image(cache)
            #expect(try await metadata(try await cache.layout(of: image), image) == first)
        }
        // Under an open device.
        try await withCache { cache in
            let image = try await fixture.image(cache)
            let layout = try await cache.layout(of: image)
            let remake = try #require(layout.remake)
            var remade: [UInt8] = []
            for number in layout.metadata.indices { remade += try await remake(number).readableBytesView }
            #expect(remade == first)
            let beyond = await cacheError { _ = try await remake(layout.metadata.count) }
            #expect(beyond?.code == .invalidInput)
        }
    }

    @Test func manyOpenersMakeOne() async throws {
        try await push()
        try await forgetIndex()
        try await withCache(l1: nil) { cache in
            let image = try await fixture.image(cache)
            let before = store.reads("/chunks/")
            let layouts = try await withThrowingTaskGroup(of: DeviceLayout.self) { group in
                for _ in 0..<16 { group.addTask { try await cache.layout(of: image) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(layouts.map(\.metadata)).count == 1)
            #expect(store.reads("/chunks/") - before == image.layers[0].manifest.entries.count)
            // One that is open is used by those who come later.
            let later = try await cache.layout(of: image)
            #expect(later.metadata == layouts[0].metadata)
            #expect(store.reads("/chunks/") - before == image.layers[0].manifest.entries.count)
        }
    }

    @Test func aRawFileIsNoDevice() async throws {
        try await fixture.push([1, 2, 3])
        try await withCache { cache in
            let image = try await fixture.image(cache)
            let error = await cacheError { _ = try await cache.layout(of: image) }
            #expect(error?.code == .invalidInput)
        }
    }

    /// A restarted worker serves what its mounts were made of, with the ref moved on and L3 away.
    @Test func anImageIsOpenedByItsPin() async throws {
        try await push("old")
        let (pin, first) = try await withCache { cache in
            let image = try await fixture.image(cache)
            let layout = try await cache.layout(of: image)
            return (image.pin, try await metadata(layout, image))
        }
        try await push("new")
        #expect(try await withCache { try await fixture.image($0).pin } != pin)
        store.set(.failing)
        let again = try #require(ImagePin(pin.description))
        #expect(again == pin)
        try await withCache { cache in
            let image = try await cache.image(try fixture.reference, pinned: again, keyring: fixture.keyring)
            #expect(image.id == pin.manifest)
            #expect(!image.isReferenceChecked)
            let layout = try await cache.layout(of: image)
            #expect(try await metadata(layout, image) == first)
        }
        // Another host has nothing of it.
        let error = await cacheError {
            try await withCache(l1: "other") {
                _ = try await $0.image(try fixture.reference, pinned: again, keyring: fixture.keyring)
            }
        }
        #expect(error?.code == .io)
    }

    @Test(arguments: ["", "7/00", "000007", "000000/\(String(repeating: "0", count: 64))"])
    func whatIsNoPin(_ text: String) { #expect(ImagePin(text) == nil) }

    /// What the chunks of an index say is compared with the layers, chunk for chunk.
    @Test func verifyReadsTheIndex() async throws {
        try await push()
        func problems() async throws -> [String] {
            try await withCache(l1: nil) { try await ImageVerifier(try await fixture.image($0)).verify().problems }
        }
        #expect(try await problems() == [])
        // An index of the same shape that shows something else.
        let reference = try fixture.reference
        let keys = try fixture.keyring.keys(for: reference.tenant)
        let record = try #require(try await RefStore(fixture.store).read(reference))
        let image = try await ImageManifest.load(
            record.manifest, from: fixture.store, generation: record.generation, keys: keys)
        let slots = try await withCache(l1: nil) { try await fixture.image($0).regionSlots }
        let id = try #require(image.index)
        let index = try await ImageIndex.load(
            id, from: fixture.store, generation: record.generation, keys: keys, regionSlots: slots)
        let zeros = index.with(metadata: index.metadata.map { .zero(plainLength: $0.plainLength) })
        let (other, sealed) = try zeros.seal(with: keys, regionSlots: slots)
        _ = try await fixture.store.putIfAbsent(L3Layout.manifest(other, in: record.generation), sealed)
        let forged = ImageManifest(
            source: image.source, generation: image.generation, layers: image.layers,
            configuration: image.configuration, annotations: image.annotations, index: other)
        let (forgedID, bytes) = try forged.seal(with: keys)
        _ = try await fixture.store.putIfAbsent(L3Layout.manifest(forgedID, in: record.generation), bytes)
        try await RefStore(fixture.store).set(
            reference, to: RefRecord(generation: record.generation, manifest: forgedID, setAt: 1))
        #expect(try await problems().first?.contains("does not show the files") == true)
    }
}
