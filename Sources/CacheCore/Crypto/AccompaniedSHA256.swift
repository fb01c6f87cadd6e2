internal import CSealing

/// SHA-256 over bytes that arrive in pieces, beside which sealed bytes are decrypted and named.
///
/// An instruction of SHA-256 waits for the one before it, and those of a second text fit in between: 176 KiB that are
/// opened beside 512 KiB that are hashed take 25 us, and 85 us by themselves
/// (docs/decisions/0037-a-chunk-beside-the-diffid.md). Alone it is as fast as ``SHA256Stream``. One thread at a time.
package final class AccompaniedSHA256: RunningHash {
    private var hash = layercache_hash()
    /// What libcrypto has hashed, on a processor without the instructions.
    private var stream: SHA256Stream?
    private let sealed: SealedBytes

    /// - Parameter isInOnePass: false for libcrypto on every processor.
    package init(isInOnePass: Bool = true) {
        sealed = SealedBytes(isInOnePass: isInOnePass)
        layercache_hash_begin(&hash)
        if !sealed.isInOnePass { stream = SHA256Stream() }
    }

    package func update(_ bytes: UnsafeRawBufferPointer) {
        guard stream == nil else {
            stream?.update(bytes)
            return
        }
        layercache_hash_more(&hash, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, nil)
    }

    /// Adds `bytes`, and decrypts a text of other memory.
    /// - Returns: SHA-256 of the sealed bytes, as ``SealedBytes/decrypt(_:)`` does.
    package func update(_ bytes: UnsafeRawBufferPointer, decrypting job: SealedBytes.Job) -> SHA256Digest {
        guard stream == nil else {
            stream?.update(bytes)
            return sealed.decrypt(job)
        }
        return job.withPassed { job in
            layercache_hash_more(&hash, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, &job)
            return SealedBytes.name(of: job)
        }
    }

    package func finish() -> SHA256Digest {
        if let stream = stream.take() { return stream.finish() }
        var digest = SHA256Digest.zero
        withUnsafeMutableBytes(of: &digest) { out in
            layercache_hash_end(&hash, out.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        return digest
    }
}

/// SHA-256 of a stream, whoever computes it.
package protocol RunningHash: AnyObject {
    func update(_ bytes: UnsafeRawBufferPointer)
    /// The digest of all that was given, once.
    func finish() -> SHA256Digest
}
