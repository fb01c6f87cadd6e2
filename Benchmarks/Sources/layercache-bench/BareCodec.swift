import BareCrypto
import BareZstd

/// SHA-256, AES-256-CTR and zstd as their libraries give them, one call a chunk and nothing around it: the yardstick of
/// sealing, opening and of an L1 hit.
final class BareCodec {
    private let cipher = EVP_CIPHER_CTX_new()
    private let compressor = ZSTD_createCCtx()
    private let decompressor = ZSTD_createDCtx()
    private let key = [UInt8](repeating: 0x42, count: 32)
    private let iv = [UInt8](repeating: 0, count: 16)
    private let digest = UnsafeMutablePointer<UInt8>.allocate(capacity: 32)

    init() {
        // What `ChunkCompression.fastOpen` asks of zstd.
        for (parameter, value): (ZSTD_cParameter, Int32) in [
            (ZSTD_c_compressionLevel, 3), (ZSTD_c_hashLog, 15), (ZSTD_c_chainLog, 15), (ZSTD_c_experimentalParam5, 2),
        ] {
            let status = ZSTD_CCtx_setParameter(compressor, parameter, value)
            precondition(ZSTD_isError(status) == 0, "zstd refused a parameter")
        }
    }

    deinit {
        EVP_CIPHER_CTX_free(cipher)
        ZSTD_freeCCtx(compressor)
        ZSTD_freeDCtx(decompressor)
        digest.deallocate()
    }

    static let compressBound = Int(ZSTD_compressBound(ChunkSample.chunkBytes))
    static var versions: String {
        "\(String(cString: OpenSSL_version(0))), zstd \(String(cString: ZSTD_versionString()))"
    }

    func hash(_ bytes: UnsafeRawBufferPointer) {
        EVP_Digest(bytes.baseAddress, bytes.count, digest, nil, EVP_sha256(), nil)
    }

    /// HMAC-SHA-256 of the last digest, as deriving a chunk's key needs it.
    func authenticateDigest() {
        HMAC(EVP_sha256(), key, 32, digest, 32, digest, nil)
    }

    func encrypt(_ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) {
        var written = Int32()
        EVP_EncryptInit_ex(cipher, EVP_aes_256_ctr(), nil, key, iv)
        EVP_EncryptUpdate(
            cipher, output.baseAddress?.assumingMemoryBound(to: UInt8.self), &written,
            bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(bytes.count))
    }

    /// zstd as chunks are compressed; returns the length.
    func compress(_ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) -> Int {
        ZSTD_compress2(compressor, output.baseAddress, output.count, bytes.baseAddress, bytes.count)
    }

    func decompress(_ bytes: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer) -> Int {
        ZSTD_decompressDCtx(decompressor, output.baseAddress, output.count, bytes.baseAddress, bytes.count)
    }

    /// SHA-256 in hexadecimal, for names.
    static func sha256(_ bytes: UnsafeRawBufferPointer) -> String {
        let codec = BareCodec()
        codec.hash(bytes)
        return (0..<32).map {
            codec.digest[$0] < 16 ? "0" + String(codec.digest[$0], radix: 16) : String(codec.digest[$0], radix: 16)
        }
        .joined()
    }
}

/// Sealed chunks made by bare calls: zstd, then AES, of the same plaintext as ours.
final class BareChunks {
    /// Plaintext that zstd does not shorten by 1/16 stays as it is, as in our format.
    let isCompressed: [Bool]
    private let sealed: [UnsafeMutableRawBufferPointer]
    private let codec = BareCodec()
    private let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: BareCodec.compressBound, alignment: 64)
    private let plain = UnsafeMutableRawBufferPointer.allocate(byteCount: ChunkSample.chunkBytes, alignment: 64)

    init(_ sample: ChunkSample) {
        var sealed: [UnsafeMutableRawBufferPointer] = []
        var isCompressed: [Bool] = []
        for number in 0..<sample.count {
            let chunk = sample[number]
            let count = codec.compress(chunk, to: scratch)
            let shortened = count <= chunk.count - (chunk.count + 15) / 16
            let text = shortened ? UnsafeRawBufferPointer(rebasing: scratch[..<count]) : chunk
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: text.count, alignment: 64)
            codec.encrypt(text, to: copy)
            sealed.append(copy)
            isCompressed.append(shortened)
        }
        self.sealed = sealed
        self.isCompressed = isCompressed
    }

    deinit {
        for chunk in sealed + [scratch, plain] { chunk.deallocate() }
    }

    subscript(number: Int) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(sealed[number]) }

    /// Hash, decrypt, decompress; nothing else.
    func open(_ number: Int) throws {
        let chunk = self[number]
        codec.hash(chunk)
        guard isCompressed[number] else { return codec.encrypt(chunk, to: plain) }
        codec.encrypt(chunk, to: scratch)
        guard codec.decompress(UnsafeRawBufferPointer(rebasing: scratch[..<chunk.count]), to: plain) == plain.count
        else {
            throw BenchError("bare zstd did not give the chunk back")
        }
    }

    /// Compress, hash, derive, encrypt, hash; nothing else.
    func seal(_ chunk: UnsafeRawBufferPointer) {
        let count = codec.compress(chunk, to: scratch)
        let text = UnsafeRawBufferPointer(rebasing: scratch[..<min(count, chunk.count)])
        codec.hash(text)
        codec.authenticateDigest()
        codec.encrypt(text, to: plain)
        codec.hash(UnsafeRawBufferPointer(rebasing: plain[..<text.count]))
    }
}
