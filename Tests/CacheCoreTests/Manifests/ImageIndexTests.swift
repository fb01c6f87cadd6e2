import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheManifests

@Suite struct ImageIndexTests {
    private let keys: TenantKeys
    private let generation: Generation

    init() throws {
        keys = TenantKeys(tenant: try TenantName(parsing: "acme"), master: KnownAnswers.master)
        generation = try #require(Generation(7))
    }

    private static let slot: UInt64 = 512 * 1024
    private static let regionSlots = [1, 1]

    private func chunk(_ plain: UInt32) -> ChunkRef {
        ChunkRef(
            id: ChunkID(KnownAnswers.digest(0x22)), key: ChunkKey(Key256(KnownAnswers.digest(0x44))),
            plainLength: plain, sealedLength: 700, codec: .zstd)
    }

    private func extent(_ offset: UInt64, _ length: UInt64, _ address: UInt64 = 0, layer: Int = 0) -> ImageIndex.Extent
    {
        ImageIndex.Extent(offset: offset, length: length, address: address, layer: layer)
    }

    private func index(
        device: UInt64 = 4 * slot, metadata: [ChunkRef]? = nil, extents: [ImageIndex.Extent]? = nil
    ) -> ImageIndex {
        ImageIndex(
            generation: generation, writerVersion: 5, deviceBytes: device,
            metadata: metadata ?? [.zero(plainLength: UInt32(Self.slot)), chunk(8192)],
            extents: extents ?? [
                extent(2 * Self.slot, Self.slot), extent(3 * Self.slot, 100, 4099, layer: 1),
            ])
    }

    @Test func hasTheKnownBytes() throws {
        let id = try #require(ManifestID(hex: KnownAnswers.indexID))
        let sealed = ByteBuffer(bytes: KnownAnswers.bytes(KnownAnswers.index))
        #expect(
            try ImageIndex.open(sealed, expecting: id, keys: keys, regionSlots: Self.regionSlots) == index())
        let (own, ours) = try index().seal(with: keys, regionSlots: Self.regionSlots)
        #expect(ours.readableBytes == sealed.readableBytes)
        // Nonces and data key are random, the plain part must be as it is there.
        #expect(ours.getSlice(at: 0, length: 72) == sealed.getSlice(at: 0, length: 72))
        #expect(try ImageIndex.open(ours, expecting: own, keys: keys, regionSlots: Self.regionSlots) == index())
        // Garbage is collected without keys.
        let header = try ManifestHeader.read(sealed, expecting: id)
        guard case .metadata(let chunks) = header.contents else { return #expect(Bool(false)) }
        #expect(header.kind == .index)
        #expect(chunks.map(\.id) == [chunk(8192).id])
    }

    @Test func otherManifestsAreNone() async throws {
        let layer = try #require(ManifestID(hex: KnownAnswers.layerID))
        let sealed = ByteBuffer(bytes: KnownAnswers.bytes(KnownAnswers.layer))
        let error = await failure { try ImageIndex.open(sealed, expecting: layer, keys: keys, regionSlots: [1]) }
        #expect(error?.code == .corrupt)
        let stranger = TenantKeys(tenant: keys.tenant, master: Key256(.zero))
        let (id, index) = try index().seal(with: keys, regionSlots: Self.regionSlots)
        let key = await failure {
            try ImageIndex.open(index, expecting: id, keys: stranger, regionSlots: Self.regionSlots)
        }
        #expect(key?.code == .key)
    }

    /// What no device can be: refused when it is sealed, and when somebody has sealed it all the same.
    @Test func impossibleDevices() async throws {
        let slot = Self.slot
        let top = UInt64.max
        let impossible: [(String, ImageIndex)] = [
            ("no bytes", index(device: 0, extents: [])),
            ("half a block", index(device: 4 * slot + 512)),
            ("more than a device has", index(device: (1 << 44) + 4096)),
            ("no metadata", index(metadata: [])),
            ("metadata of half a block", index(metadata: [chunk(4095)])),
            ("a short chunk before the last", index(metadata: [chunk(8192), chunk(8192)])),
            ("metadata beyond the end", index(device: slot, extents: [])),
            ("an extent over the metadata", index(extents: [extent(slot, 10)])),
            ("an extent without bytes", index(extents: [extent(2 * slot, 0)])),
            ("descending", index(extents: [extent(3 * slot, 10), extent(2 * slot, 10)])),
            ("overlapping", index(extents: [extent(2 * slot, 11), extent(2 * slot + 10, 10)])),
            ("beyond the end", index(extents: [extent(4 * slot - 5, 6)])),
            ("an offset far beyond", index(extents: [extent(top, 1)])),
            ("a length that overflows", index(extents: [extent(2 * slot, top)])),
            ("a layer that is not there", index(extents: [extent(2 * slot, 10, layer: 2)])),
            ("beyond the region", index(extents: [extent(2 * slot, 10, slot - 9)])),
            ("an address that overflows", index(extents: [extent(2 * slot, 10, top - 4)])),
        ]
        for (what, index) in impossible {
            let error = await failure { try index.seal(with: keys, regionSlots: Self.regionSlots) }
            #expect(error?.code == .invalidInput, "\(what)")
            let (id, sealed) = try sealUnchecked(index)
            let opened = await failure {
                try ImageIndex.open(sealed, expecting: id, keys: keys, regionSlots: Self.regionSlots)
            }
            #expect(opened?.code == .corrupt, "\(what): \(opened.debugDescription)")
            #expect(opened?.message.contains(id.hex) == true)
        }
        // At the very edges.
        _ = try index(extents: [extent(slot + 8192, 2 * slot - 8192), extent(3 * slot, slot, layer: 1)])
            .seal(with: keys, regionSlots: [2, 1])
    }

    /// Every byte of the body, which only a holder of the keys can change, cut and lengthened at every place.
    @Test func everyByteOfTheBodyChanged() async throws {
        let (header, body) = try parts(index())
        var variants = (0..<body.count).map { Array(body.prefix($0)) }
        variants += (0...body.count).map { Array(body[..<$0]) + [0] + body[$0...] }
        for place in body.indices {
            for change: UInt8 in [0x01, 0x10, 0x80, 0xFF] {
                var changed = body
                changed[place] ^= change
                variants.append(changed)
            }
        }
        var opened = 0
        for variant in variants {
            let (id, sealed) = try ManifestEnvelope.seal(header, body: ByteBuffer(bytes: variant), keys: keys)
            do {
                let index = try ImageIndex.open(
                    sealed, expecting: id, keys: keys, regionSlots: Self.regionSlots)
                expectSound(index)
                opened += 1
            } catch let error as CacheError {
                #expect([.corrupt, .limitExceeded].contains(error.code), "\(error)")
            }
        }
        // The writer's version, keys and smaller lengths are as good as others.
        #expect(opened > 0 && opened < variants.count / 2)
    }

    /// What every reader of a device relies on.
    private func expectSound(_ index: ImageIndex) {
        #expect(index.deviceBytes % 4096 == 0 && index.deviceBytes > 0)
        var end = index.metadataBytes
        #expect(end % 4096 == 0 && end > 0)
        for extent in index.extents {
            #expect(extent.offset >= end && extent.length >= 1)
            end = extent.offset + extent.length
            #expect(extent.address + extent.length <= UInt64(Self.regionSlots[extent.layer]) * Self.slot)
        }
        #expect(end <= index.deviceBytes)
    }

    private func parts(_ index: ImageIndex) throws -> (ManifestHeader, [UInt8]) {
        let (id, sealed) = try index.seal(with: keys, regionSlots: Self.regionSlots)
        let (header, body) = try ManifestEnvelope.open(sealed, expecting: id, keys: keys)
        return (header, Array(body.readableBytesView))
    }

    /// As a writer would that checks nothing. (docs/FORMAT.md, "Index".)
    private func sealUnchecked(_ index: ImageIndex) throws -> (ManifestID, ByteBuffer) {
        let table = try ChunkTable(streams: [index.metadata])
        var body = ByteBuffer()
        body.writeLittle(index.writerVersion)
        body.writeZeros(6)
        body.writeLittle(index.deviceBytes)
        body.writeLittle(UInt32(index.metadata.count))
        body.writeLittle(UInt32(index.extents.count))
        table.encode(into: &body)
        for extent in index.extents {
            for word in [extent.offset, extent.length, extent.address] { body.writeLittle(word) }
            body.writeLittle(UInt16(extent.layer))
        }
        let header = ManifestHeader(
            generation: generation, tenantKeyID: keys.id,
            contents: .metadata(table.distinct.map { ($0.id, $0.sealedLength) }))
        return try ManifestEnvelope.seal(header, body: body, keys: keys)
    }
}
