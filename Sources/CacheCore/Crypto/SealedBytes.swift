internal import CSealing

/// Finds out the name of sealed bytes and decrypts them, in one pass. One instance serves one thread.
///
/// 2.1 GB/s a core, and 2.9 GB/s for two at once, with the instructions of x86-64 for SHA-256 and AES; 1.7 GB/s by
/// libcrypto elsewhere (docs/decisions/0032-two-chunks-in-one-pass.md).
package final class SealedBytes {
    /// Bytes to be named and decrypted.
    package struct Job {
        let sealed: UnsafeRawBufferPointer
        let text: UnsafeMutableRawBufferPointer
        let key: Key256

        /// - Parameter text: as long as `sealed`, and may be the same memory.
        package init(
            _ sealed: UnsafeRawBufferPointer, to text: UnsafeMutableRawBufferPointer, key: Key256
        ) {
            precondition(text.count == sealed.count && text.baseAddress != nil, "the text has the sealed bytes' length")
            self.sealed = sealed
            self.text = text
            self.key = key
        }
    }

    private static let isInOnePass = layercache_can_open() != 0
    private let cipher = AES256CTR()
    let isInOnePass: Bool
    /// What libcrypto takes at a time, so that it is in the core's cache when it is decrypted.
    private static let pieceBytes = 32 << 10

    /// - Parameter isInOnePass: false for libcrypto on every processor.
    package init(isInOnePass: Bool = true) {
        self.isInOnePass = isInOnePass && Self.isInOnePass
    }

    /// Decrypts a text, whatever it is.
    /// - Returns: SHA-256 of the sealed bytes, by which the caller tells whether the text is worth anything.
    package func decrypt(_ job: Job) -> SHA256Digest {
        guard isInOnePass else { return decryptByPieces(job) }
        return job.withPassed { job in
            layercache_open(&job, nil)
            return Self.name(of: job)
        }
    }

    /// Decrypts two texts of different memory at once.
    package func decrypt(_ first: Job, _ second: Job) -> (first: SHA256Digest, second: SHA256Digest) {
        guard isInOnePass else { return (decryptByPieces(first), decryptByPieces(second)) }
        return first.withPassed { first in
            second.withPassed { second in
                layercache_open(&first, &second)
                return (Self.name(of: first), Self.name(of: second))
            }
        }
    }

    private func decryptByPieces(_ job: Job) -> SHA256Digest {
        cipher.begin(job.key)
        var hash = SHA256Stream()
        for start in stride(from: 0, to: job.sealed.count, by: Self.pieceBytes) {
            let part = UnsafeRawBufferPointer(
                rebasing: job.sealed[start..<min(start + Self.pieceBytes, job.sealed.count)])
            hash.update(part)
            cipher.apply(part, to: UnsafeMutableRawBufferPointer(rebasing: job.text[start...]))
        }
        return hash.finish()
    }

    static func name(of job: layercache_sealed) -> SHA256Digest {
        withUnsafeBytes(of: job.name) { $0.loadUnaligned(as: SHA256Digest.self) }
    }
}

extension SealedBytes.Job {
    /// The job as C has it.
    func withPassed<R>(_ body: (inout layercache_sealed) -> R) -> R {
        key.withUnsafeBytes { key in
            var job = layercache_sealed()
            job.sealed = sealed.baseAddress?.assumingMemoryBound(to: UInt8.self)
            job.text = text.baseAddress?.assumingMemoryBound(to: UInt8.self)
            job.length = sealed.count
            job.key = key.baseAddress?.assumingMemoryBound(to: UInt8.self)
            return body(&job)
        }
    }
}
