internal import CacheCore

extension DeviceLayout {
    /// The device of an image that is a raw file: its bytes, filled up with zeros to whole blocks. `nil` for any other
    /// image.
    init?(rawFile image: CachedImage) {
        guard image.layers.count == 1, let layer = image.layers.first, layer.kind == .file else { return nil }
        let size = UInt64(layer.byteCount)
        let extent = ErofsExtent(offset: 0, length: size, layer: 0, address: RegionAddress(rawValue: 0))
        self.init(
            byteCount: (size + 4095) / 4096 * 4096, metadataBytes: 0, metadata: [],
            generation: layer.manifest.generation, extents: size == 0 ? [] : [extent])
    }
}
