/// What a reader wants a chunk for, which decides where its plaintext lives.
enum ChunkUse: Sendable {
    /// It may be asked for again: the chunk stays in the memory cache, in a buffer of its exact length.
    case kept
    /// It is read once, in pieces that follow one another, as are its neighbours: the reader has it for as long as that
    /// takes, and it pushes nothing out of the memory cache.
    case passing
    /// It is passed on once, as a pull does with all of an image: it pushes nothing out of the memory cache, and the
    /// reader gives the buffer back when it is done, to be used for another chunk.
    case recycled
}
