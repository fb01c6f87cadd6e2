import CacheCore
import NIOCore
import TestSupport
import Testing

@testable import CacheManifests

/// What somebody who has the tenant's key and writes to L3 can make of a pushed image, `acme/app`: other indexes,
/// sealed as they must be, under refs of their own.
struct ForgedImages {
    private let store: FileObjectStore
    private let keys: TenantKeys
    let image: ManifestID
    let manifest: ImageManifest
    let index: ImageIndex
    /// The index as it was pushed: what is before its body, and the body.
    let header: ManifestHeader
    let body: [UInt8]
    private let regionSlots: [Int]

    init(_ bench: Workbench) async throws {
        let store = try FileObjectStore(root: bench.l3, create: false)
        let reference = try ImageReference(parsing: "acme/app:latest")
        let keys = try Keyring(contentsOf: bench.keyring).keys(for: reference.tenant)
        let record = try #require(try await RefStore(store).read(reference))
        func sealed(_ id: ManifestID) async throws -> ByteBuffer {
            try #require(try await store.get(L3Layout.manifest(id, in: record.generation), limit: 1 << 20)).body
        }
        let manifest = try ImageManifest.open(
            try await sealed(record.manifest), expecting: record.manifest, keys: keys)
        var slots: [Int] = []
        for layer in manifest.layers {
            let sealed = try await sealed(layer.manifest)
            slots.append(try LayerManifest.open(sealed, expecting: layer.manifest, keys: keys).data.count)
        }
        let id = try #require(manifest.index)
        let sealedIndex = try await sealed(id)
        let index = try ImageIndex.open(sealedIndex, expecting: id, keys: keys, regionSlots: slots)
        let opened = try ManifestEnvelope.open(sealedIndex, expecting: id, keys: keys)
        self.store = store
        self.keys = keys
        self.manifest = manifest
        self.index = index
        image = record.manifest
        regionSlots = slots
        header = opened.header
        body = Array(opened.body.readableBytesView)
    }

    /// Pushes the image with an index of any body, right or wrong.
    func publish(_ reference: String, body: [UInt8]) async throws {
        try await publish(
            reference, try ManifestEnvelope.seal(header, body: ByteBuffer(bytes: body), keys: keys))
    }

    /// Pushes the image with other metadata, of the same length.
    func publish(_ reference: String, metadata: [UInt8]) async throws {
        let sealer = ChunkSealer(salt: GenerationSalt(.zero), compression: .none)
        var refs: [ChunkRef] = []
        for start in stride(from: 0, to: metadata.count, by: ChunkLimits.plainBytes) {
            let plain = Array(metadata[start..<min(start + ChunkLimits.plainBytes, metadata.count)])
            var sealed = [UInt8](repeating: 0, count: plain.count)
            let ref = plain.withUnsafeBytes { plain in sealed.withUnsafeMutableBytes { sealer.seal(plain, into: $0) } }
            refs.append(ref)
            _ = try await store.putIfAbsent(
                L3Layout.chunk(ref.id, in: index.generation), ByteBuffer(bytes: sealed.prefix(Int(ref.sealedLength))))
        }
        let forged = ImageIndex(
            generation: index.generation, writerVersion: index.writerVersion, deviceBytes: index.deviceBytes,
            metadata: refs, extents: index.extents)
        try await publish(reference, try forged.seal(with: keys, regionSlots: regionSlots))
    }

    /// Pushes the image as the version before indexes did.
    func publishWithoutIndex(_ reference: String) async throws { try await publish(reference, index: nil) }

    private func publish(_ reference: String, _ index: (id: ManifestID, sealed: ByteBuffer)) async throws {
        _ = try await store.putIfAbsent(L3Layout.manifest(index.id, in: self.index.generation), index.sealed)
        try await publish(reference, index: index.id)
    }

    private func publish(_ reference: String, index: ManifestID?) async throws {
        let forged = ImageManifest(
            source: manifest.source, generation: manifest.generation, layers: manifest.layers,
            configuration: manifest.configuration, annotations: manifest.annotations, index: index)
        let (id, sealed) = try forged.seal(with: keys)
        _ = try await store.putIfAbsent(L3Layout.manifest(id, in: manifest.generation), sealed)
        let record = RefRecord(generation: manifest.generation, manifest: id, setAt: 1)
        try await RefStore(store).set(try ImageReference(parsing: reference), to: record)
    }

    /// A trace of the image that is sealed as it must be, whatever it names.
    func put(trace chunks: [UInt32]) async throws {
        let sealed = ImageTrace(chunks: chunks).seal(of: image, in: manifest.generation, with: keys)
        _ = try await store.replace(traceKey, sealed, expecting: try await store.head(traceKey)?.version)
    }

    var traceKey: ObjectKey { L3Layout.trace(of: image, in: manifest.generation) }
}
