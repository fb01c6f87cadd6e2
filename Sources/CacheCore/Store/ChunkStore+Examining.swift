package import CacheChunks

/// What an examination of a stored chunk has found.
package enum StoredChunk: Sendable, Hashable {
    /// It is not here, or is on its way out.
    case absent
    /// The bytes are those of the name.
    case sound(bytes: Int)
    /// They were not, or the disk does not give them: the chunk is being dropped, and was counted.
    case dropped
}

/// For those who look after the store: nothing here counts as a use of a chunk.
extension ChunkStore {
    /// Reads a chunk, checks it against its name, and drops it if it is damaged. Blocks for the disk; about 0.4 ms for
    /// 512 KiB that are in the page cache, which is left as it was.
    package func examine(_ id: ChunkID) throws -> StoredChunk {
        try session()?.examine(id) ?? .absent
    }

    /// Some of the chunks that come after `id` in the order of their names, which is how a walk over the store goes on;
    /// empty at its end. A few microseconds.
    package func ids(after id: ChunkID) throws -> [ChunkID] {
        try session()?.ids(after: id) ?? []
    }
}
