internal import CacheCore
internal import NIOCore

/// SHA-256 of a layer that is pulled, beside which chunks of the same pull are decrypted: most of what that costs falls
/// into the time in which the hash waits for itself.
final class OpeningHash: RunningHash {
    private let line: OpeningLine
    private let hash = AccompaniedSHA256()
    /// Pieces that are shorter are hashed alone: a chunk would be decrypted beside nothing.
    private static let leastBytes = 64 << 10

    init(_ line: OpeningLine) {
        self.line = line
    }

    func update(_ bytes: UnsafeRawBufferPointer) {
        guard bytes.count >= Self.leastBytes, let opening = line.takeSealed() else { return hash.update(bytes) }
        var text = line.textBuffer()
        do {
            try opening.sealed.withUnsafeReadableBytes { sealed in
                _ = try text.writeWithUnsafeMutableBytes(minimumWritableBytes: sealed.count) { room in
                    try ChunkOpener.decrypt(
                        opening.ref, sealed: sealed, to: UnsafeMutableRawBufferPointer(rebasing: room[..<sealed.count]),
                        beside: hash, of: bytes)
                    return sealed.count
                }
            }
            line.give(opening, text: text)
        } catch {
            line.fail(opening, error, text: text)
        }
    }

    func finish() -> SHA256Digest { hash.finish() }
}
