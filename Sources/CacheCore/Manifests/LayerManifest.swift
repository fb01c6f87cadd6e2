public import CacheChunks
public import CacheCrypto
public import NIOCore

/// The description of a layer: three streams of chunks and what they are.
///
/// Distinct chunks are kept once, however often they occur: 76 bytes each, and 4 for each further occurrence or zero
/// chunk, so that a layer of 10 GiB has a manifest of 1.6 MB.
public struct LayerManifest: Sendable {
    public let kind: LayerKind
    public let generation: Generation
    /// The version of the packing that decided where files are in the data region.
    public let packingVersion: UInt16
    /// How chunks were compressed, as a number of the importer's (see ``LayerIndex``).
    public let codecPolicy: UInt8
    /// SHA-256 of the uncompressed tar, or of the file.
    public let diffID: SHA256Digest
    /// Length of the uncompressed tar, or of the file.
    public let byteCount: UInt64
    /// How many entries the tar has.
    public let entryCount: UInt64
    /// The chunks of the data region, in order. Each begins a multiple of 512 KiB.
    public let data: [ChunkRef]
    /// The chunks of the skeleton: headers and padding of the tar.
    public let skeleton: [ChunkRef]
    /// The chunks of the entry table.
    public let entries: [ChunkRef]

    /// The most chunks in the three streams together: 512 GiB of plaintext, and a bound for the memory that opening
    /// takes (80 MiB).
    public static let maximumChunks = 1 << 20

    public init(
        kind: LayerKind, generation: Generation, packingVersion: UInt16, codecPolicy: UInt8, diffID: SHA256Digest,
        byteCount: UInt64, entryCount: UInt64, data: [ChunkRef], skeleton: [ChunkRef], entries: [ChunkRef]
    ) {
        self.kind = kind
        self.generation = generation
        self.packingVersion = packingVersion
        self.codecPolicy = codecPolicy
        self.diffID = diffID
        self.byteCount = byteCount
        self.entryCount = entryCount
        self.data = data
        self.skeleton = skeleton
        self.entries = entries
    }

    /// Seals the manifest for a tenant. Each call gives other bytes and another name.
    ///
    /// About 2 ms for 10 GiB. Throws `.limitExceeded` beyond ``maximumChunks`` or the size of a manifest.
    public func seal(with keys: TenantKeys) throws -> (id: ManifestID, sealed: ByteBuffer) {
        let table = try ChunkTable(streams: [data, skeleton, entries])
        var body = ByteBuffer()
        body.reserveCapacity(LayerManifest.fixedBodyBytes + table.encodedBytes)
        body.writeLittle(kind.rawValue)
        body.writeLittle(codecPolicy)
        body.writeLittle(packingVersion)
        body.writeZeros(4)
        body.writeDigest(diffID)
        body.writeLittle(byteCount)
        body.writeLittle(entryCount)
        for stream in [data, skeleton, entries] { body.writeLittle(UInt32(stream.count)) }
        table.encode(into: &body)
        let header = ManifestHeader(
            generation: generation, tenantKeyID: keys.id,
            contents: .chunks(table.distinct.map { ($0.id, $0.sealedLength) }))
        return try ManifestEnvelope.seal(header, body: body, keys: keys)
    }

    private static let fixedBodyBytes = 68

    /// Opens a sealed layer manifest. About 5 ms for 10 GiB; memory: 80 bytes a chunk.
    ///
    /// - Parameter id: the name under which `sealed` was found.
    /// - Throws: `.key` if the tenant's key is another, `.unsupported` for another version, `.corrupt` for all that is
    ///   not right.
    public static func open(_ sealed: ByteBuffer, expecting id: ManifestID, keys: TenantKeys) throws -> LayerManifest {
        let (header, body) = try ManifestEnvelope.open(sealed, expecting: id, keys: keys)
        return try body.withUnsafeReadableBytes { bytes in
            var reader = RecordReader(bytes, what: "manifest \(id)")
            guard case .chunks(let chunks) = header.contents else {
                throw reader.malformed("it is not the manifest of a layer")
            }
            guard let kind = LayerKind(rawValue: try reader.integer()) else {
                throw reader.malformed("unknown kind of layer")
            }
            let codecPolicy: UInt8 = try reader.integer()
            let packingVersion: UInt16 = try reader.integer()
            try reader.zeros(4)
            let diffID = try reader.digest()
            let byteCount: UInt64 = try reader.integer()
            let entryCount: UInt64 = try reader.integer()
            let counts = try (0..<3).map { _ in Int(try reader.integer(UInt32.self)) }
            let streams = try ChunkTable.decodeStreams(counts, chunks: chunks, &reader)
            try reader.end()
            return LayerManifest(
                kind: kind, generation: header.generation, packingVersion: packingVersion, codecPolicy: codecPolicy,
                diffID: diffID, byteCount: byteCount, entryCount: entryCount, data: streams[0], skeleton: streams[1],
                entries: streams[2])
        }
    }
}
