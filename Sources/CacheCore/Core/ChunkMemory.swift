internal import CacheFiles
package import NIOCore

/// Where buffers of chunks come from.
package enum ChunkMemory {
    /// A buffer of just the size of a full chunk takes memory that was a chunk's before, and leaves it to the next one
    /// when the last reference is gone; others are as ever.
    package static var allocator: ByteBufferAllocator { PieceMemory.allocator }
}
