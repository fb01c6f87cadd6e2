import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheManifests

@Suite struct ManifestTests {
    private let keys: TenantKeys
    private let generation: Generation

    init() throws {
        keys = TenantKeys(tenant: try TenantName(parsing: "acme"), master: KnownAnswers.master)
        generation = try #require(Generation(7))
    }

    private static let raw = ChunkRef(
        id: ChunkID(KnownAnswers.digest(0x11)), key: ChunkKey(Key256(KnownAnswers.digest(0x33))), plainLength: 1000,
        sealedLength: 1000, codec: .raw)
    private static let packed = ChunkRef(
        id: ChunkID(KnownAnswers.digest(0x22)), key: ChunkKey(Key256(KnownAnswers.digest(0x44))), plainLength: 2000,
        sealedLength: 700, codec: .zstd)

    private func layer(data: [ChunkRef], skeleton: [ChunkRef] = [], entries: [ChunkRef] = []) -> LayerManifest {
        LayerManifest(
            kind: .tar, generation: generation, packingVersion: 2, codecPolicy: 3, diffID: KnownAnswers.digest(0x55),
            byteCount: 123456, entryCount: 9, data: data, skeleton: skeleton, entries: entries)
    }

    private func image(index: ManifestID? = nil) -> ImageManifest {
        ImageManifest(
            source: .oci, generation: generation,
            layers: [
                .init(
                    manifest: ManifestID(KnownAnswers.digest(0x66)), diffID: KnownAnswers.digest(0x55),
                    byteCount: 123456, sharedBytes: 4242, name: "base")
            ],
            configuration: ByteBuffer(string: "{}"), annotations: [.init(key: "k", value: "wörth")],
            index: index)
    }

    private func expectEqual(_ left: LayerManifest, _ right: LayerManifest) {
        #expect(left.kind == right.kind)
        #expect(left.generation == right.generation)
        #expect(left.diffID == right.diffID)
        #expect(left.packingVersion == right.packingVersion)
        #expect(left.codecPolicy == right.codecPolicy)
        #expect(left.byteCount == right.byteCount)
        #expect(left.entryCount == right.entryCount)
        #expect(left.data == right.data)
        #expect(left.skeleton == right.skeleton)
        #expect(left.entries == right.entries)
    }

    @Test func layerHasTheKnownBytes() throws {
        let id = try #require(ManifestID(hex: KnownAnswers.layerID))
        let sealed = ByteBuffer(bytes: KnownAnswers.bytes(KnownAnswers.layer))
        let expected = layer(data: [Self.raw, .zero(plainLength: 4096), Self.raw], skeleton: [Self.packed])
        expectEqual(try LayerManifest.open(sealed, expecting: id, keys: keys), expected)
        // Nonces and data key are random, all else must be as it is there.
        let ours = try expected.seal(with: keys).sealed
        #expect(ours.readableBytes == sealed.readableBytes)
        #expect(ours.getSlice(at: 0, length: 36 + 72) == sealed.getSlice(at: 0, length: 36 + 72))
        let header = try ManifestHeader.read(sealed, expecting: id)
        guard case .chunks(let chunks) = header.contents else { return #expect(Bool(false)) }
        #expect(header.generation == generation)
        #expect(header.tenantKeyID == keys.id)
        #expect(header.kind == .layer)
        #expect(chunks.map(\.id) == [Self.raw.id, Self.packed.id])
        #expect(chunks.map(\.sealedLength) == [1000, 700])
    }

    @Test func imageHasTheKnownBytes() throws {
        let id = try #require(ManifestID(hex: KnownAnswers.imageID))
        let sealed = ByteBuffer(bytes: KnownAnswers.bytes(KnownAnswers.image))
        #expect(try ImageManifest.open(sealed, expecting: id, keys: keys) == image())
        let (ours, bytes) = try image().seal(with: keys)
        #expect(bytes.readableBytes == sealed.readableBytes)
        #expect(ours != id)
        #expect(try ImageManifest.open(bytes, expecting: ours, keys: keys) == image())
    }

    /// Version 2, so that a program from before there were indexes says that it is too old.
    @Test func imageWithAnIndexHasTheKnownBytes() throws {
        let id = try #require(ManifestID(hex: KnownAnswers.indexedImageID))
        let sealed = ByteBuffer(bytes: KnownAnswers.bytes(KnownAnswers.indexedImage))
        let index = ManifestID(KnownAnswers.digest(0x88))
        #expect(try ImageManifest.open(sealed, expecting: id, keys: keys) == image(index: index))
        let ours = try image(index: index).seal(with: keys).sealed
        #expect(ours.getSlice(at: 0, length: 36 + 64) == sealed.getSlice(at: 0, length: 36 + 64))
        guard case .layers(let layers, let found) = try ManifestHeader.read(sealed, expecting: id).contents else {
            return #expect(Bool(false))
        }
        #expect(layers == [ManifestID(KnownAnswers.digest(0x66))])
        #expect(found == index)
        #expect(ManifestHeader.tenantKeyID(ours) == keys.id)
    }

    @Test func tenGibibytesStayBelowTwoMebibytes() throws {
        let chunks = (0..<20_480).map { number in
            let digest = withUnsafeBytes(of: number) { SHA256Digest(hashing: $0) }
            return ChunkRef(
                id: ChunkID(digest), key: ChunkKey(Key256(digest)), plainLength: 524_288, sealedLength: 200_000,
                codec: .zstd)
        }
        let manifest = layer(data: chunks, skeleton: Array(chunks.prefix(40)), entries: Array(chunks.suffix(10)))
        let (id, sealed) = try manifest.seal(with: keys)
        #expect(sealed.readableBytes < 2 << 20)
        expectEqual(try LayerManifest.open(sealed, expecting: id, keys: keys), manifest)
    }

    @Test func anotherKeyIsToldFromDamage() async throws {
        let (id, sealed) = try layer(data: [Self.raw]).seal(with: keys)
        let stranger = TenantKeys(tenant: keys.tenant, master: Key256(.zero))
        let error = await failure { try LayerManifest.open(sealed, expecting: id, keys: stranger) }
        #expect(error?.code == .key)
        #expect(error?.message.contains("acme") == true)
        #expect(error?.message.contains(id.hex) == true)
        let other = await failure { try LayerManifest.open(sealed, expecting: ManifestID(.zero), keys: keys) }
        #expect(other?.code == .corrupt)
        let kind = await failure { try ImageManifest.open(sealed, expecting: id, keys: keys) }
        #expect(kind?.code == .corrupt)
    }

    @Test func nothingOfTheContentIsInTheOpen() throws {
        let (_, sealed) = try image().seal(with: keys)
        let text = String(decoding: sealed.readableBytesView, as: UTF8.self)
        #expect(!text.contains("base"))
        #expect(!text.contains("rth"))
        #expect(!text.contains("acme"))
    }

    @Test func impossibleLayersAreNotSealed() async {
        let long = ChunkRef(
            id: Self.raw.id, key: Self.raw.key, plainLength: 524_289, sealedLength: 5, codec: .zstd)
        let twice = ChunkRef(
            id: Self.raw.id, key: Self.packed.key, plainLength: 1000, sealedLength: 1000, codec: .raw)
        for chunks in [[long], [Self.raw, twice], [ChunkRef.zero(plainLength: 0)]] {
            #expect(await failure { try layer(data: chunks).seal(with: keys) }?.code == .invalidInput)
        }
    }

    /// Every byte changed, every length: with the name made to fit, so that what is behind that check is reached.
    @Test func changedManifestsNeverOpen() async throws {
        for (text, kind) in [
            (KnownAnswers.layer, ManifestHeader.Kind.layer), (KnownAnswers.image, .image),
            (KnownAnswers.indexedImage, .image), (KnownAnswers.index, .index),
        ] {
            let bytes = KnownAnswers.bytes(text)
            var variants = (0..<bytes.count).map { Array(bytes.prefix($0)) } + [bytes + [0]]
            for index in bytes.indices {
                for change: UInt8 in [0x01, 0x80, 0xFF] {
                    variants.append(bytes)
                    variants[variants.count - 1][index] ^= change
                }
            }
            for variant in variants {
                let sealed = ByteBuffer(bytes: variant)
                let id = ManifestID(SHA256Digest(of: variant))
                let error = await failure {
                    try open(kind, sealed, id)
                }
                #expect(error.map { [.corrupt, .key, .unsupported].contains($0.code) } == true)
                #expect(error?.message.contains(id.hex) == true || error?.code == .key)
            }
        }
    }

    /// A writer who has the keys can seal anything: what is inside is as hostile as what is outside.
    @Test func hostileBodiesNeverTrap() throws {
        var random = SeededGenerator()
        let bodies = try [
            body(of: KnownAnswers.layer, KnownAnswers.layerID), body(of: KnownAnswers.image, KnownAnswers.imageID),
            body(of: KnownAnswers.indexedImage, KnownAnswers.indexedImageID),
            body(of: KnownAnswers.index, KnownAnswers.indexID),
        ]
        for (header, body) in bodies {
            var outcomes: [Bool] = []
            for _ in 0..<3000 {
                var changed = body
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    let index = Int.random(in: 0..<changed.count, using: &random)
                    changed[index] =
                        [0, 0x7F, 0x80, 0xFF, .random(in: 0...255, using: &random)].randomElement(using: &random) ?? 0
                }
                if Int.random(in: 0..<4, using: &random) == 0 {
                    changed.removeLast(Int.random(in: 1...changed.count, using: &random))
                }
                let (id, sealed) = try ManifestEnvelope.seal(header, body: ByteBuffer(bytes: changed), keys: keys)
                do {
                    try open(header.kind, sealed, id)
                    outcomes.append(true)
                } catch let error as CacheError {
                    #expect([.corrupt, .limitExceeded].contains(error.code), "seed \(random.seed): \(error)")
                    outcomes.append(false)
                }
            }
            #expect(outcomes.contains(false), "seed \(random.seed)")
        }
    }

    private func open(_ kind: ManifestHeader.Kind, _ sealed: ByteBuffer, _ id: ManifestID) throws {
        switch kind {
        case .layer: _ = try LayerManifest.open(sealed, expecting: id, keys: keys)
        case .image: _ = try ImageManifest.open(sealed, expecting: id, keys: keys)
        case .index: _ = try ImageIndex.open(sealed, expecting: id, keys: keys, regionSlots: [1, 1])
        }
    }

    private func body(of hex: String, _ id: String) throws -> (ManifestHeader, [UInt8]) {
        let (header, body) = try ManifestEnvelope.open(
            ByteBuffer(bytes: KnownAnswers.bytes(hex)), expecting: #require(ManifestID(hex: id)), keys: keys)
        return (header, Array(body.readableBytesView))
    }
}
