package import CacheCore
package import NIOCore

/// What the device of an image consists of: a metadata region made for the image, then stretches of its layers' data
/// regions as they are stored; all else is zeros.
///
/// The values are checked by whoever makes one: extents ascend, do not overlap, begin behind the metadata, end in the
/// device, and name layers that the image has.
package struct DeviceLayout: Sendable {
    /// The device's size, a multiple of 4096.
    package let byteCount: UInt64
    /// Bytes of the metadata region at the device's start, a multiple of 4096.
    package let metadataBytes: UInt64
    /// The region's chunks in order, each of 512 KiB of plaintext but the last.
    package let metadata: [ChunkRef]
    /// The generation under which L3 has them.
    package let generation: Generation
    package let extents: [ErofsExtent]
    /// Gives the plaintext of one of the metadata's chunks, by number, for an image whose index only this host has: for
    /// when no tier holds the chunk (any more). `nil` if L3 has the chunks.
    package let remake: (@Sendable (Int) async throws -> ByteBuffer)?

    package init(
        byteCount: UInt64, metadataBytes: UInt64, metadata: [ChunkRef], generation: Generation,
        extents: [ErofsExtent], remake: (@Sendable (Int) async throws -> ByteBuffer)? = nil
    ) {
        self.byteCount = byteCount
        self.metadataBytes = metadataBytes
        self.metadata = metadata
        self.generation = generation
        self.extents = extents
        self.remake = remake
    }
}
