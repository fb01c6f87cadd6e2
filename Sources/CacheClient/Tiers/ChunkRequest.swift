internal import CacheCore

/// What the tiers are asked for: one chunk, where L3 has it, and how its reader wants it.
struct ChunkRequest: Sendable {
    let ref: ChunkRef
    /// The generation under which L3 has it.
    let generation: Generation
    /// Counts what the tiers deliver and repair for this reader.
    let counter: ReadCounter
    /// Whether it stays in memory, or the reader gives the buffer back.
    var use = ChunkUse.kept
    /// Whether no reader waits for it yet.
    var isAhead = false
    /// Takes the plaintext before the request ends; `nil` if the caller does.
    var delivery: ChunkDelivery?
    /// Where its sealed bytes wait to be opened; `nil` for the reader's own threads.
    var line: OpeningLine?

    /// Requests of the same key share a flight. Two refs that differ in anything have two, so that a manifest with a
    /// wrong key or length fails its own readers only.
    struct Key: Hashable, Sendable {
        let ref: ChunkRef
        let generation: Generation
    }

    var key: Key { Key(ref: ref, generation: generation) }
}
