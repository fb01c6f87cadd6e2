internal import NIOConcurrencyHelpers
package import NIOCore

/// Buffers of one size that are used again and again, the last one given back first: its pages are mapped and still in
/// a core's cache.
///
/// A new buffer of a chunk's size costs 128 page faults, about as much as encrypting what goes into it. A
/// buffer may be given back while another reference to it lives: that one keeps the memory, and `take` allocates anew.
package final class BufferPool: Sendable {
    private let bytes: Int
    private let maximumIdle: Int
    private let allocator: ByteBufferAllocator
    private let idle = NIOLockedValueBox<[ByteBuffer]>([])

    /// - Parameters:
    ///   - bytes: the capacity of each buffer.
    ///   - maximumIdle: how many are kept; those given back beyond it are freed.
    ///   - allocator: where their memory comes from.
    package init(bytes: Int, maximumIdle: Int, allocator: ByteBufferAllocator = ByteBufferAllocator()) {
        self.bytes = bytes
        self.maximumIdle = maximumIdle
        self.allocator = allocator
    }

    /// An empty buffer with room for at least `bytes`.
    package func take() -> ByteBuffer {
        guard var buffer = idle.withLockedValue({ $0.popLast() }) else {
            return allocator.buffer(capacity: bytes)
        }
        // Allocates anew where the memory is shared.
        buffer.clear(minimumCapacity: bytes)
        return buffer
    }

    /// Gives a buffer back. One that is smaller than the pool's is not kept.
    package func give(_ buffer: consuming ByteBuffer) {
        guard buffer.storageCapacity >= bytes else { return }
        idle.withLockedValue { [buffer] idle in
            if idle.count < maximumIdle { idle.append(buffer) }
        }
    }
}
