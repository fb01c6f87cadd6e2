internal import CacheBase
internal import CacheCrypto
internal import CacheFiles

/// A blob from front to back, that ends with an error instead of its end when its bytes are not what its digest says.
final class VerifiedBlob: ByteSource {
    private let source: any ByteSource
    private let digest: SHA256Digest
    private let name: String
    private var hash: SHA256Stream? = SHA256Stream()

    init(_ range: FileRange, digest: SHA256Digest, name: String) {
        source = FileRangeSource(range)
        self.digest = digest
        self.name = name
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        if count > 0 {
            hash?.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        } else if let hash = hash.take(), hash.finish() != digest {
            throw CacheError(
                .corrupt, "\(name) is not what its digest says: blob sha256:\(digest) is damaged, fetch the image again"
            )
        }
        return count
    }
}

/// A layer that comes out of a ``VerifiedBlob``.
///
/// Damage shows first where the decompressor stumbles over it; the blob's own digest is the better message, so the rest
/// is read for it.
final class VerifiedLayer: ByteSource {
    private let blob: VerifiedBlob
    private let layer: any ByteSource

    init(blob: VerifiedBlob, name: String, compressedSize: Int, limits: ImportLimits) throws {
        self.blob = blob
        layer = try CompressionFormat.decompress(
            blob, name: name, compressedSize: compressedSize, limit: limits.expansionLimit)
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        do {
            return try layer.read(into: buffer)
        } catch let error as CacheError where error.code == .corrupt || error.code == .invalidInput {
            try blob.drain { _ in }
            throw error
        }
    }
}
