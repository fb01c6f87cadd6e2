internal import CacheBase
public import CacheChunks
internal import CacheCrypto
public import NIOCore

/// The plain part of a manifest: what can be read without any key, and is enough to collect garbage.
public struct ManifestHeader: Sendable {
    /// The raw values are part of the format.
    public enum Kind: UInt8, Sendable {
        case layer = 1
        case image = 2
        case index = 3
    }

    /// What a manifest needs to have beside it in its generation.
    public enum Contents: Sendable {
        /// Of a layer: its distinct chunks that are not zero, in order of first use.
        case chunks([(id: ChunkID, sealedLength: UInt32)])
        /// Of an image: the manifests of its layers, bottom first, and its index, if it has one.
        case layers([ManifestID], index: ManifestID?)
        /// Of the index of an image: the distinct chunks of its metadata that are not zero, in order of first use.
        case metadata([(id: ChunkID, sealedLength: UInt32)])
    }

    public let generation: Generation
    /// Which tenant key opens the rest.
    public let tenantKeyID: KeyID
    public let contents: Contents

    public var kind: Kind {
        switch contents {
        case .chunks: .layer
        case .layers: .image
        case .metadata: .index
        }
    }

    /// What is of version 1 can be read by programs from before there were indexes.
    private var version: UInt16 {
        switch contents {
        case .chunks, .layers(_, index: nil): 1
        case .layers, .metadata: 2
        }
    }

    /// The most bytes in a sealed manifest: 64 MiB, enough for a layer of 400 GiB.
    public static let maximumBytes = 64 << 20

    static let magic: StaticString = "LCMF"
    private static let versions: ClosedRange<UInt16> = 1...2
    package static let fixedBytes = 36
    static let chunkBytes = 36

    /// Reads the plain part of the manifest of that name.
    ///
    /// - Throws: `.corrupt` if `sealed` is not that manifest or is malformed, `.unsupported` for another version.
    public static func read(_ sealed: ByteBuffer, expecting id: ManifestID) throws -> ManifestHeader {
        try sealed.withUnsafeReadableBytes { try parse($0, expecting: id).header }
    }

    /// Which tenant key opens the manifest that begins with `start`, unverified; `nil` if it is no manifest of this
    /// version.
    package static func tenantKeyID(_ start: ByteBuffer) -> KeyID? {
        start.withUnsafeReadableBytes { bytes in
            var reader = RecordReader(bytes, what: "manifest")
            guard (try? reader.magic(magic, versions: versions)) != nil, (try? reader.take(2 + 8)) != nil else {
                return nil
            }
            return try? reader.keyID()
        }
    }

    /// The plain part and how many bytes it takes.
    static func parse(
        _ bytes: UnsafeRawBufferPointer, expecting id: ManifestID
    ) throws -> (header: ManifestHeader, byteCount: Int) {
        let what = "manifest \(id)"
        var reader = RecordReader(bytes, what: what)
        guard bytes.count <= maximumBytes else {
            throw CacheError(.limitExceeded, "\(what) has \(bytes.count) bytes; at most \(maximumBytes) are allowed")
        }
        guard SHA256Digest(hashing: bytes) == id.digest else {
            throw reader.malformed("its SHA-256 is not its name")
        }
        let version = try reader.magic(magic, versions: versions)
        guard let kind = Kind(rawValue: try reader.integer()) else { throw reader.malformed("unknown kind") }
        try reader.zeros(1)
        guard let generation = Generation(try reader.integer()) else {
            throw reader.malformed("no generation has that number")
        }
        let keyID = try reader.keyID()
        let count = Int(try reader.integer(UInt32.self))
        let contents: Contents
        switch kind {
        case .layer, .index:
            // Taking the list first bounds what is allocated by what is there.
            let list = try reader.take(count * chunkBytes)
            let chunks = try chunks(list, count: count, reader)
            contents = kind == .layer ? .chunks(chunks) : .metadata(chunks)
        case .image:
            let list = try reader.take(count * SHA256Digest.byteCount)
            let layers = (0..<count).map { index in
                ManifestID(list.loadUnaligned(fromByteOffset: index * SHA256Digest.byteCount, as: SHA256Digest.self))
            }
            contents = .layers(layers, index: version == 1 ? nil : ManifestID(try reader.digest()))
        }
        let header = ManifestHeader(generation: generation, tenantKeyID: keyID, contents: contents)
        guard header.version == version else { throw reader.malformed("its version is not that of its kind") }
        return (header, reader.offset)
    }

    private static func chunks(
        _ list: UnsafeRawBufferPointer, count: Int, _ reader: RecordReader
    ) throws -> [(id: ChunkID, sealedLength: UInt32)] {
        var chunks: [(id: ChunkID, sealedLength: UInt32)] = []
        chunks.reserveCapacity(count)
        for offset in stride(from: 0, to: count * chunkBytes, by: chunkBytes) {
            let id = ChunkID(list.loadUnaligned(fromByteOffset: offset, as: SHA256Digest.self))
            let length = UInt32(
                littleEndian: list.loadUnaligned(fromByteOffset: offset + SHA256Digest.byteCount, as: UInt32.self))
            guard (1...UInt32(ChunkLimits.sealedBytes)).contains(length) else {
                throw reader.malformed("chunk \(id) has a length that no chunk can have")
            }
            chunks.append((id, length))
        }
        return chunks
    }

    /// The bytes of the plain part.
    func encoded() -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeMagic(Self.magic, version: version)
        buffer.writeLittle(kind.rawValue)
        buffer.writeZeros(1)
        buffer.writeLittle(generation.number)
        buffer.writeKeyID(tenantKeyID)
        switch contents {
        case .chunks(let chunks), .metadata(let chunks):
            buffer.writeLittle(UInt32(chunks.count))
            buffer.reserveCapacity(minimumWritableBytes: chunks.count * Self.chunkBytes)
            for chunk in chunks {
                buffer.writeDigest(chunk.id.digest)
                buffer.writeLittle(chunk.sealedLength)
            }
        case .layers(let layers, let index):
            buffer.writeLittle(UInt32(layers.count))
            for layer in layers { buffer.writeDigest(layer.digest) }
            if let index { buffer.writeDigest(index.digest) }
        }
        return buffer
    }
}
