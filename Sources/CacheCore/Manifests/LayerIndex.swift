internal import CacheBase
public import CacheChunks
public import CacheCrypto
public import CacheObjectStore
internal import NIOCore

/// Finds the layers that a tenant has pushed to a generation before, so that none is converted twice; and the indexes
/// of images (``Image``).
///
/// The name of an index object is an HMAC under the tenant's index key: without that key it does not tell which layer
/// it stands for.
public struct LayerIndex: Sendable {
    private let store: any ObjectStore
    private let generation: Generation
    private let keys: TenantKeys

    /// All that decides what a layer becomes: equal ones give the same chunks.
    public struct Layer: Hashable, Sendable {
        public let kind: LayerKind
        public let packingVersion: UInt16
        /// A number for how chunks are compressed; layers of different policies are different layers.
        public let codecPolicy: UInt8
        /// SHA-256 of the uncompressed tar, or of the file.
        public let diffID: SHA256Digest

        public init(kind: LayerKind, packingVersion: UInt16, codecPolicy: UInt8, diffID: SHA256Digest) {
            self.kind = kind
            self.packingVersion = packingVersion
            self.codecPolicy = codecPolicy
            self.diffID = diffID
        }

        func encode(into message: inout ByteBuffer) {
            message.writeLittle(packingVersion)
            message.writeLittle(codecPolicy)
            message.writeLittle(kind.rawValue)
            message.writeDigest(diffID)
        }
    }

    private static let magic: StaticString = "LCLI"
    private static let version: UInt16 = 1
    private static let maximumBytes = 4096
    private static let maximumTries = 16

    public init(_ store: any ObjectStore, generation: Generation, keys: TenantKeys) {
        self.store = store
        self.generation = generation
        self.keys = keys
    }

    /// The manifest of a layer that was pushed before; `nil` if it was not. One read.
    ///
    /// The manifest itself is not looked at: it may be gone or damaged.
    /// - Throws: `.corrupt` or `.unsupported` that names the index object.
    public func find(_ layer: Layer) async throws -> ManifestID? { try await find(object(of: layer)) }

    func find(_ object: ObjectKey) async throws -> ManifestID? {
        try await store.get(object, limit: Self.maximumBytes).map { try Self.decode($0.body, object) }
    }

    /// Remembers the manifest of a layer, once that and all its chunks are durable.
    ///
    /// - Parameter stale: what ``find(_:)`` gave and turned out not to be usable; only that is replaced.
    /// A damaged index object is replaced like a stale one: pushing again is the way out of it.
    /// - Returns: the manifest that the index names now: not `manifest` if another push was faster.
    public func record(
        _ layer: Layer, as manifest: ManifestID, replacing stale: ManifestID? = nil
    ) async throws -> ManifestID {
        try await record(object(of: layer), as: manifest, replacing: stale)
    }

    func record(
        _ object: ObjectKey, as manifest: ManifestID, replacing stale: ManifestID?
    ) async throws -> ManifestID {
        for _ in 0..<Self.maximumTries {
            let present = try await store.get(object, limit: Self.maximumBytes)
            if let present, let known = try Self.decodeUnlessDamaged(present.body, object) {
                if known == manifest || known != stale { return known }
            }
            if try await store.replace(object, Self.encode(manifest), expecting: present?.version) != nil {
                return manifest
            }
        }
        throw CacheError(.conflict, "object \(object) is being changed by others all the time: try again")
    }

    /// HMAC-SHA-256(index key, "layer" || packing version || codec policy || kind || diffID).
    private func object(of layer: Layer) -> ObjectKey {
        var message = ByteBuffer(string: "layer")
        layer.encode(into: &message)
        return object(named: message)
    }

    func object(named message: ByteBuffer) -> ObjectKey {
        let code = message.withUnsafeReadableBytes { HMACSHA256.authenticate(key: keys.indexKey, $0) }
        return L3Layout.layer(code, in: generation)
    }

    /// 48 bytes (docs/FORMAT.md, "Layer index").
    private static func encode(_ manifest: ManifestID) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMagic(magic, version: version)
        buffer.writeZeros(2)
        buffer.writeDigest(manifest.digest)
        buffer.writeChecksum()
        return buffer
    }

    private static func decodeUnlessDamaged(_ record: ByteBuffer, _ object: ObjectKey) throws -> ManifestID? {
        do {
            return try decode(record, object)
        } catch let error as CacheError where error.code == .corrupt {
            return nil
        }
    }

    private static func decode(_ record: ByteBuffer, _ object: ObjectKey) throws -> ManifestID {
        try record.withUnsafeReadableBytes { bytes in
            let what = "object \(object)"
            var reader = RecordReader(bytes, what: what)
            try reader.magic(magic, version: version)
            try RecordReader.verifyChecksum(of: bytes, what: what)
            try reader.zeros(2)
            let manifest = ManifestID(try reader.digest())
            _ = try reader.take(RecordReader.checksumBytes)
            try reader.end()
            return manifest
        }
    }
}
