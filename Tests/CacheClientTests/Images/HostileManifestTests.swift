import CacheClient
import CacheCore
import NIOCore
import TestSupport
import Testing

/// Manifests with a right seal and a wrong content: what a tenant could write who has its key and a grudge.
@Suite(.timeLimit(.minutes(10))) struct HostileManifestTests {
    private let fixture: ClientFixture
    private let content: [UInt8]

    init() throws {
        fixture = try ClientFixture()
        content = fixture.bytes(1_200_000)
    }

    /// Seals `layer` as the only one of an image, and points the reference of the fixture at it.
    private func plant(_ layer: LayerManifest, diffID: SHA256Digest? = nil) async throws {
        let keys = try fixture.keyring.keys(for: try fixture.reference.tenant)
        let (id, sealed) = try layer.seal(with: keys)
        _ = try await fixture.store.putIfAbsent(L3Layout.manifest(id, in: layer.generation), sealed)
        let image = ImageManifest(
            source: .file, generation: layer.generation,
            layers: [
                ImageManifest.Layer(
                    manifest: id, diffID: diffID ?? layer.diffID, byteCount: layer.byteCount, sharedBytes: 0,
                    name: "planted")
            ], configuration: ByteBuffer(), annotations: [])
        let (imageID, sealedImage) = try image.seal(with: keys)
        _ = try await fixture.store.putIfAbsent(L3Layout.manifest(imageID, in: layer.generation), sealedImage)
        try await RefStore(fixture.store).set(
            try fixture.reference, to: RefRecord(generation: layer.generation, manifest: imageID, setAt: 1))
    }

    private func honest() async throws -> LayerManifest {
        try await fixture.push(content)
        return try await fixture.withCache { try await fixture.image($0).layers[0].manifest }
    }

    private func everything(_ cache: LayerCache) async throws {
        let layer = try await fixture.image(cache).layers[0]
        var failures: [any Error] = []
        do { _ = try await layer.collect() } catch { failures.append(error) }
        do { for try await _ in layer.entries {} } catch { failures.append(error) }
        do { try await ImagePuller(try await fixture.image(cache)).pull(to: .file(fixture("out"))) } catch {
            failures.append(error)
        }
        do { try await ImagePuller(try await fixture.image(cache)).pull(to: .tar(file: fixture("out.tar"))) } catch {
            failures.append(error)
        }
        if let failure = failures.first { throw failure }
    }

    @Test(arguments: [UInt64(0), 1, 1_199_999, 1_200_001, 1 << 19, 1 << 40, 1 << 60, 1 << 63, .max])
    func sizesThatLie(_ size: UInt64) async throws {
        let layer = try await honest()
        for kind in [LayerKind.file, .tar] {
            try await plant(layer.with(kind: kind, byteCount: size))
            let error = await cacheError { try await fixture.withCache { try await everything($0) } }
            #expect(error != nil, "\(size)")
        }
    }

    @Test func slotsThatLie() async throws {
        let layer = try await honest()
        let short = ChunkRef.zero(plainLength: 5)
        for data in [
            [], [layer.data[0]], layer.data.reversed(), layer.data + [short], [short] + layer.data.dropFirst(),
        ] {
            try await plant(layer.with(data: data))
            let error = await cacheError { try await fixture.withCache { try await everything($0) } }
            #expect(error?.code == .corrupt)
        }
    }

    /// Random bytes and pieces of the honest streams as skeleton and entry table.
    @Test func streamsThatLie() async throws {
        let layer = try await honest()
        for stream in [layer.data, [layer.data[2]], [.zero(plainLength: 1)], [.zero(plainLength: 1 << 19)]] {
            try await plant(layer.with(kind: .tar, skeleton: stream, entries: stream))
            let error = await cacheError { try await fixture.withCache { try await everything($0) } }
            #expect(error?.code == .corrupt)
        }
    }

    @Test func layerThatIsNotTheOneThatItsImagePromises() async throws {
        let layer = try await honest()
        try await plant(layer, diffID: SHA256Digest.zero)
        let error = await cacheError { try await fixture.withCache { _ = try await fixture.image($0) } }
        #expect(error?.code == .corrupt)
    }

    /// Lengths and keys that lie about honest chunks: an error for readers of this manifest, and no harm to other
    /// readers.
    @Test func refsThatLieSpoilNobodysChunks() async throws {
        let layer = try await honest()
        try await fixture.withDaemon { url in
            try await fixture.withCache(l1: fixture("l1"), l2: [url]) { cache in
                let right = try await fixture.image(cache)
                #expect(try await right.layers[0].collect() == content)
                await cache.flush()
                let whole = layer.data[0]
                let wrongKey = ChunkRef(
                    id: whole.id, key: layer.data[1].key, plainLength: whole.plainLength,
                    sealedLength: whole.sealedLength,
                    codec: whole.codec)
                let wrongLength = ChunkRef(id: whole.id, key: whole.key, plainLength: 9, sealedLength: 9, codec: .raw)
                let wrongCodec = ChunkRef(
                    id: whole.id, key: whole.key, plainLength: whole.plainLength, sealedLength: whole.sealedLength - 1,
                    codec: .zstd)
                for ref in [wrongKey, wrongLength, wrongCodec] {
                    try await plant(layer.with(data: [ref] + layer.data.dropFirst()))
                    let image = try await fixture.image(cache)
                    do {
                        let bytes = try await image.layers[0].collect()
                        // A raw chunk opens under any key; what comes out is given to no other reader.
                        #expect(ref == wrongKey)
                        #expect(bytes.count == content.count)
                        #expect(bytes != content)
                    } catch {
                        #expect((error as? CacheError)?.code == .corrupt)
                    }
                    #expect(image.counts.repairedL1 == 0)
                }
                #expect(try await right.layers[0].collect() == content)
                #expect(right.counts.l3.chunks == 3)
            }
            try await plant(layer)
            try await fixture.withCache(l1: fixture("l1"), l2: [url]) { cache in
                let counts = try await fixture.expect(content, from: cache)
                #expect(counts.l1.chunks == 3)
            }
        }
    }
}

extension LayerManifest {
    fileprivate func with(
        kind: LayerKind? = nil, byteCount: UInt64? = nil, data: [ChunkRef]? = nil, skeleton: [ChunkRef]? = nil,
        entries: [ChunkRef]? = nil
    ) -> LayerManifest {
        LayerManifest(
            kind: kind ?? self.kind, generation: generation, packingVersion: packingVersion, codecPolicy: codecPolicy,
            diffID: diffID, byteCount: byteCount ?? self.byteCount, entryCount: entryCount, data: data ?? self.data,
            skeleton: skeleton ?? self.skeleton, entries: entries ?? self.entries)
    }
}
