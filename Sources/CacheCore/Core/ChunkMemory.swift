internal import CacheFiles
package import NIOCore

/// Where buffers of chunks come from.
package enum ChunkMemory {
    /// A buffer of just the size of a full chunk lies in huge pages, where the kernel has them, and is reused when the
    /// last reference to it is gone; others are as ever.
    package static var allocator: ByteBufferAllocator { PieceMemory.allocator }
}
