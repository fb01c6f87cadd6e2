package import CacheCrypto

/// What a manifest keeps of one chunk: all that is needed to fetch, check and open it.
public struct ChunkRef: Hashable, Sendable {
    /// The name of the sealed bytes; all zero bits for a zero chunk, which is stored nowhere.
    public let id: ChunkID
    /// The key that opens it; all zero bits for a zero chunk.
    public let key: ChunkKey
    /// Bytes of plaintext: 1 to ``ChunkLimits/plainBytes``.
    public let plainLength: UInt32
    /// Bytes of the sealed form; 0 for a zero chunk.
    public let sealedLength: UInt32
    public let codec: ChunkCodec

    public init(id: ChunkID, key: ChunkKey, plainLength: UInt32, sealedLength: UInt32, codec: ChunkCodec) {
        self.id = id
        self.key = key
        self.plainLength = plainLength
        self.sealedLength = sealedLength
        self.codec = codec
    }

    /// A chunk whose plaintext is `plainLength` zero bytes.
    public static func zero(plainLength: UInt32) -> ChunkRef {
        ChunkRef(
            id: ChunkID(.zero), key: ChunkKey(Key256(.zero)), plainLength: plainLength, sealedLength: 0, codec: .raw)
    }

    /// Whether the plaintext is all zero bytes, so that no tier holds anything of it.
    public var isZero: Bool { sealedLength == 0 }
}

/// The AES-256 key of one chunk: 32 bytes. With it and the sealed bytes the chunk can be read.
/// It prints and dumps as nothing but its type.
public struct ChunkKey: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
    package let secret: Key256

    package init(_ secret: Key256) {
        self.secret = secret
    }

    public var description: String { "ChunkKey" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// How the plaintext became the bytes that are encrypted. The raw values are part of the format.
public enum ChunkCodec: UInt8, Sendable {
    /// The plaintext itself.
    case raw = 0
    /// One zstd frame.
    case zstd = 1
}

/// The sizes that bound a chunk in every tier.
public enum ChunkLimits {
    /// The most plaintext in one chunk: 512 KiB.
    public static let plainBytes = 512 * 1024
    /// The most sealed bytes of one chunk. Sealing never makes a chunk longer: what zstd does not shorten is sealed
    /// raw.
    public static let sealedBytes = plainBytes
}
