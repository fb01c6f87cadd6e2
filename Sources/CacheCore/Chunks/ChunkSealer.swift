internal import CacheBase
public import CacheCrypto

/// Turns plaintext chunks into sealed chunks: compress, derive the key from the compressed bytes, encrypt, name.
///
///     c      = zstd(plaintext), or the plaintext where that saves less than 1/16
///     key    = HMAC-SHA-256(salt, codec || UInt32LE(length of plaintext) || SHA-256(c))
///     sealed = AES-256-CTR(key, IV 0, c)
///     id     = SHA-256(sealed)
///
/// The key comes from the very bytes that are encrypted, so one key never meets two texts, whatever version of zstd
/// made them. Equal plaintext under equal salt and codec gives equal sealed bytes. (Scheme: docs/FORMAT.md, "Sealed
/// chunk"; after "On-demand Container Loading in AWS Lambda", USENIX ATC 2023, section 3.)
///
/// One instance serves one thread. Sealing 512 KiB of program files takes about 1.7 ms: zstd four fifths of it.
public final class ChunkSealer {
    private let salt: GenerationSalt
    private let compressor: ZstdCompressor?
    private let cipher = AES256CTR()
    private let scratch: UnsafeMutableRawBufferPointer

    /// Encrypting and hashing take turns on pieces of this size, so that the second finds them in the core's cache.
    static let pieceBytes = 32 * 1024

    public init(salt: GenerationSalt, compression: ChunkCompression) {
        self.salt = salt
        switch compression {
        case .none: compressor = nil
        case .fastOpen: compressor = .fastOpen()
        case .zstd(let level): compressor = ZstdCompressor(level: level)
        }
        scratch = UnsafeMutableRawBufferPointer.allocate(
            byteCount: compressor == nil ? 0 : ZstdCompressor.bound(ChunkLimits.plainBytes), alignment: 64)
    }

    deinit { scratch.deallocate() }

    /// Seals `plain` into the start of `output`.
    ///
    /// - Parameters:
    ///   - plain: 1 to ``ChunkLimits/plainBytes`` bytes.
    ///   - output: at least `plain.count` bytes; the sealed form is never longer.
    /// - Returns: the reference; its `sealedLength` tells how much of `output` is used. A chunk of zero bytes uses
    ///   none.
    public func seal(_ plain: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) -> ChunkRef {
        precondition((1...ChunkLimits.plainBytes).contains(plain.count) && output.count >= plain.count)
        if plain.isAllZero { return .zero(plainLength: UInt32(plain.count)) }
        let (codec, compressed) = compress(plain)
        let key = deriveKey(codec: codec, plainLength: UInt32(plain.count), of: compressed)
        return ChunkRef(
            id: encrypt(compressed, under: key, into: output), key: key, plainLength: UInt32(plain.count),
            sealedLength: UInt32(compressed.count), codec: codec)
    }

    private func compress(_ plain: UnsafeRawBufferPointer) -> (ChunkCodec, UnsafeRawBufferPointer) {
        guard let compressor else { return (.raw, plain) }
        let count = compressor.compress(plain, into: scratch)
        guard count <= plain.count - (plain.count + 15) / 16 else { return (.raw, plain) }
        return (.zstd, UnsafeRawBufferPointer(rebasing: scratch[..<count]))
    }

    private func deriveKey(codec: ChunkCodec, plainLength: UInt32, of compressed: UnsafeRawBufferPointer) -> ChunkKey {
        let digest = SHA256Digest(hashing: compressed)
        return withUnsafeTemporaryAllocation(byteCount: 5 + SHA256Digest.byteCount, alignment: 1) { message in
            message[0] = codec.rawValue
            message.storeBytes(of: plainLength.littleEndian, toByteOffset: 1, as: UInt32.self)
            digest.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: message[5...]).copyMemory(from: $0) }
            return ChunkKey(
                Key256(HMACSHA256.authenticate(key: salt.secret, UnsafeRawBufferPointer(message))))
        }
    }

    private func encrypt(
        _ text: UnsafeRawBufferPointer, under key: ChunkKey, into output: UnsafeMutableRawBufferPointer
    ) -> ChunkID {
        cipher.begin(key.secret)
        var hash = SHA256Stream()
        for start in stride(from: 0, to: text.count, by: Self.pieceBytes) {
            let end = min(start + Self.pieceBytes, text.count)
            let piece = UnsafeMutableRawBufferPointer(rebasing: output[start..<end])
            cipher.apply(UnsafeRawBufferPointer(rebasing: text[start..<end]), to: piece)
            hash.update(UnsafeRawBufferPointer(piece))
        }
        return ChunkID(hash.finish())
    }
}

/// Whether and how hard plaintext is compressed before it is encrypted. Part of what decides whether equal files become
/// equal chunks.
public enum ChunkCompression: Sendable, Hashable {
    /// Sizes of sealed chunks then tell nothing about their content.
    case none
    /// zstd, with what makes chunks open fast: as small as at level 1, opened a fifth faster.
    case fastOpen
    /// zstd at a level from 1 to 19.
    case zstd(level: Int)

    public static let standard = ChunkCompression.fastOpen

    /// The codec policy of manifests and of the layer index: 0 for none, 32 for ``fastOpen``, else the level.
    package var policy: UInt8 {
        switch self {
        case .none: 0
        case .fastOpen: 32
        case .zstd(let level): UInt8(clamping: level)
        }
    }
}

/// The deployment secret of a generation, 32 bytes. Computing a chunk's name from a file needs it, so that an outsider
/// with a file cannot find out whether its chunks exist. It prints and dumps as nothing but its type.
public struct GenerationSalt: Sendable, CustomStringConvertible, CustomReflectable {
    package let secret: Key256

    package init(_ secret: Key256) {
        self.secret = secret
    }

    public init(_ bytes: SHA256Digest) {
        secret = Key256(bytes)
    }

    public var description: String { "GenerationSalt" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
