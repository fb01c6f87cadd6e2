import CacheCore
import NIOCore
import Testing

@testable import CacheManifests

@Suite struct RememberedRefTests {
    private let keys: TenantKeys
    private let reference: ImageReference
    private let ref: RememberedRef

    init() throws {
        keys = TenantKeys(tenant: try TenantName(parsing: "acme"), master: KnownAnswers.master)
        reference = try ImageReference(parsing: "acme/app:v1")
        ref = RememberedRef(
            record: RefRecord(
                generation: try #require(Generation(7)), manifest: ManifestID(KnownAnswers.digest(0x66)),
                setAt: 1_700_000_000_000), pieces: ChunkID(KnownAnswers.digest(0x77)), seenAt: 1_800_000_000_000)
    }

    private var name: RememberedRef.Name { RememberedRef.Name(of: reference, keys: keys) }

    private func decode(_ bytes: [UInt8], _ name: RememberedRef.Name, _ keys: TenantKeys) throws -> RememberedRef {
        try bytes.withUnsafeBytes { try RememberedRef(decoding: $0, as: name, keys: keys) }
    }

    @Test func recordHasTheKnownBytes() throws {
        let record = ref.encoded(as: name, keys: keys)
        #expect(KnownAnswers.hex(record.readableBytesView) == KnownAnswers.rememberedRef)
        #expect(try decode(Array(record.readableBytesView), name, keys) == ref)
        let none = RememberedRef(record: ref.record, pieces: nil, seenAt: 0)
        #expect(try decode(Array(none.encoded(as: name, keys: keys).readableBytesView), name, keys) == none)
    }

    @Test func whatTheTenantsKeyDidNotMakeIsRefused() async throws {
        let record = Array(ref.encoded(as: name, keys: keys).readableBytesView)
        for bit in 0..<record.count * 8 {
            var changed = record
            changed[bit / 8] ^= 1 << (bit % 8)
            let error = await failure { try decode(changed, name, keys) }
            #expect(error?.code == .corrupt || error?.code == .unsupported)
        }
        for count in 0..<record.count {
            #expect(await failure { try decode(Array(record.prefix(count)), name, keys) } != nil)
        }
        #expect(await failure { try decode(record + [0], name, keys) } != nil)
        let stranger = TenantKeys(tenant: keys.tenant, master: Key256(.zero))
        #expect(await failure { try decode(record, name, stranger) } != nil)
        // Of another reference of the same tenant.
        let other = RememberedRef.Name(of: try ImageReference(parsing: "acme/app:v2"), keys: keys)
        #expect(other != name)
        #expect(RememberedRef.Name(of: reference, keys: stranger) != name)
        #expect(await failure { try decode(record, other, keys) } != nil)
    }

    @Test func outlinesNeedNoKey() throws {
        var record = Array(ref.encoded(as: name, keys: keys).readableBytesView)
        func outline() -> RememberedRef.Outline { record.withUnsafeBytes { RememberedRef.outline($0) } }
        #expect(outline() == .record(name, seenAt: ref.seenAt))
        record[127] ^= 1
        #expect(outline() == .record(name, seenAt: ref.seenAt))
        record[4] = 2
        #expect(outline() == .foreign)
        record[0] = 0
        #expect(outline() == .damaged)
        record = [UInt8](repeating: 0, count: RememberedRef.byteCount)
        #expect(outline() == .free)
        record[100] = 1
        #expect(outline() == .damaged)
    }
}
