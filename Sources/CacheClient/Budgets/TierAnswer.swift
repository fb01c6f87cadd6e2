internal import NIOCore

/// What a tier above L3 answers to a read of one chunk.
enum TierAnswer: Sendable {
    /// From L1 the plaintext, checked; from L2 the sealed bytes as they came, not checked yet.
    case hit(ByteBuffer)
    /// The tier has no such chunk; `dropped` if it had one until now, but damaged.
    case miss(dropped: Bool)
    /// No answer: too late, an error, or the tier is left alone for a while.
    case unavailable
}
