import CacheClient
import CacheCore
import Foundation
import NIOCore
import TestSupport
import Testing

/// Manifests that are longer than a chunk are kept in pieces.
@Suite(.timeLimit(.minutes(10))) struct LargeManifestTests {
    private let fixture: ClientFixture
    private let store: FaultyObjectStore
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        store = FaultyObjectStore(fixture.store, scope: .everything)
        content = fixture.bytes(1_200_000)
    }

    /// An image of a raw file of 110 GB: the content, then zeros, in a manifest of 850 kB.
    private func plant() async throws {
        try await fixture.push(content)
        let base = try await fixture.withCache { try await fixture.image($0).layers[0].manifest }
        let keys = try fixture.keyring.keys(for: try fixture.reference.tenant)
        let zeros = [ChunkRef](repeating: .zero(plainLength: UInt32(ChunkLimits.plainBytes)), count: 210_000)
        let data = Array(base.data.dropLast()) + zeros + base.data.suffix(1)
        let layer = LayerManifest(
            kind: .file, generation: base.generation, packingVersion: base.packingVersion,
            codecPolicy: base.codecPolicy, diffID: base.diffID,
            byteCount: base.byteCount + UInt64(zeros.count * ChunkLimits.plainBytes), entryCount: 0, data: data,
            skeleton: [], entries: [])
        let (id, sealed) = try layer.seal(with: keys)
        #expect(sealed.readableBytes > 800_000)
        _ = try await fixture.store.putIfAbsent(L3Layout.manifest(id, in: layer.generation), sealed)
        let image = ImageManifest(
            source: .file, generation: layer.generation,
            layers: [.init(manifest: id, diffID: layer.diffID, byteCount: layer.byteCount, name: "planted")],
            configuration: ByteBuffer(), annotations: [])
        let (imageID, sealedImage) = try image.seal(with: keys)
        _ = try await fixture.store.putIfAbsent(L3Layout.manifest(imageID, in: layer.generation), sealedImage)
        try await RefStore(fixture.store).set(
            try fixture.reference, to: RefRecord(generation: layer.generation, manifest: imageID, setAt: 1))
    }

    /// As a restarted worker does, with the ref moved on and L3 away.
    @Test func theyAreOpenedByAPin() async throws {
        try await plant()
        func withCache<R>(_ body: (LayerCache) async throws -> R) async throws -> R {
            try await fixture.withCache(l1: fixture("l1")) {
                $0.l3 = store
            } _: {
                try await body($0)
            }
        }
        let pin = try await withCache { cache in
            let image = try await fixture.image(cache)
            _ = try await cache.device(of: image).read(at: 0, count: 4096)
            return image.pin
        }
        try await fixture.push([1, 2, 3])
        #expect(try await withCache { try await fixture.image($0).pin } != pin)
        store.set(.failing)
        try await withCache { cache in
            let image = try await cache.image(try fixture.reference, pinned: pin, keyring: fixture.keyring)
            let bytes = try await cache.device(of: image).read(at: 0, count: 4096)
            #expect(bytes.flatMap { Array($0.readableBytesView) } == Array(content.prefix(4096)))
        }
    }

    /// Opens the image and reads its first bytes, through a cache of its own.
    private func open(l1: String, l2: [String] = []) async throws -> (isChecked: Bool, counts: ReadCounts) {
        try await fixture.withCache(l1: fixture(l1), l2: l2) {
            $0.l3 = store
            $0.l1Deadline = .seconds(60)
            $0.l2Deadline = .seconds(60)
            $0.l2Patience = .seconds(600)
            $0.refDeadline = .seconds(60)
        } _: { cache in
            let image = try await fixture.image(cache)
            var bytes = ByteBuffer()
            try await image.layers[0].read(at: RegionAddress(rawValue: 0), count: 1_000_000, into: &bytes)
            #expect(bytes == ByteBuffer(bytes: content.prefix(1_000_000)))
            return (image.isReferenceChecked, image.counts)
        }
    }

    @Test func theyComeOutOfL1() async throws {
        try await plant()
        #expect(try await open(l1: "l1").isChecked)
        let before = store.reads("/manifests/")
        #expect(try await open(l1: "l1").isChecked)
        #expect(store.reads("/manifests/") == before)
        store.set(.failing)
        #expect(try await !open(l1: "l1").isChecked)
    }

    @Test func theyComeOutOfL2() async throws {
        try await plant()
        try await fixture.withDaemon { url in
            #expect(try await open(l1: "l1", l2: [url]).isChecked)
            store.set(.failing)
            // All of L1 but its memory is lost.
            try FileManager.default.removeItem(atPath: fixture("l1/data.mdb"))
            #expect(try await !open(l1: "l1", l2: [url]).isChecked)
            // And what L2 gave back has filled it again.
            #expect(try await !open(l1: "l1").isChecked)
        }
    }

    /// Another host cannot know how a manifest is cut; once it has read it, it can, and L2 has every piece once.
    @Test func anotherHostLearnsThem() async throws {
        try await plant()
        try await fixture.withDaemon { url in
            #expect(try await open(l1: "l1", l2: [url]).isChecked)
            #expect(try await open(l1: "other", l2: [url]).isChecked)
            store.set(.failing)
            try FileManager.default.removeItem(atPath: fixture("other/data.mdb"))
            #expect(try await !open(l1: "other", l2: [url]).isChecked)
        }
    }

    /// A piece that is damaged or gone everywhere but in L3 is made again from there.
    @Test func aDamagedPieceIsRepaired() async throws {
        try await plant()
        #expect(try await open(l1: "l1").isChecked)
        let before = store.reads("/manifests/")
        let paths = try FileManager.default.subpathsOfDirectory(atPath: fixture("l3")).filter {
            $0.contains("/manifests/")
        }
        let manifests = paths.compactMap { path -> Data? in
            let data = try? Data(contentsOf: URL(fileURLWithPath: fixture("l3/\(path)")))
            return (data?.count ?? 0) > ChunkLimits.sealedBytes ? data : nil
        }
        let manifest = try #require(manifests.first)
        let file = URL(fileURLWithPath: fixture("l1/data.mdb"))
        var data = try Data(contentsOf: file)
        // The second piece.
        let piece = manifest[(manifest.startIndex + ChunkLimits.sealedBytes)...].prefix(64)
        let range = try #require(data.range(of: piece))
        data[range.lowerBound + 9] ^= 4
        try data.write(to: file)
        let repaired = try await open(l1: "l1")
        #expect(repaired.isChecked)
        #expect(repaired.counts.repairedL1 == 1)
        #expect(store.reads("/manifests/") == before + 1)
        store.set(.failing)
        let healed = try await open(l1: "l1")
        #expect(!healed.isChecked)
        #expect(healed.counts.repairedL1 == 0)
    }
}
