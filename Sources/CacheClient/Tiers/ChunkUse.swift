/// What a reader wants a chunk for, which decides where its plaintext lives.
enum ChunkUse: Sendable {
    /// It may be asked for again: the chunk stays in the memory cache, in a buffer of its exact length.
    case kept
    /// It is passed on once, as a pull does with all of an image: it pushes nothing out of the memory cache, and the
    /// reader gives the buffer back when it is done, to be used for another chunk.
    case recycled
}
