internal import CacheCore
internal import NIOCore

extension DeviceLayout {
    /// - Parameters:
    ///   - index: of the image, checked.
    ///   - remake: as ``remake``.
    init(_ index: ImageIndex, remake: (@Sendable (Int) async throws -> ByteBuffer)? = nil) {
        self.init(
            byteCount: index.deviceBytes, metadataBytes: index.metadataBytes, metadata: index.metadata,
            generation: index.generation,
            extents: index.extents.map { extent in
                ErofsExtent(
                    offset: extent.offset, length: extent.length, layer: extent.layer,
                    address: RegionAddress(rawValue: extent.address))
            }, remake: remake)
    }
}
